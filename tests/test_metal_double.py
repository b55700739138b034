"""The double of Metal catches every misuse by name, and says what a launch costs."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from metal_control import program

# What is done wrong, and what the double says of it.
MISUSES = {
    "an unknown selector": "-[MTLCompileOptions setMathMode:]: unknown selector on macOS 14",
    "use after release": "[MTLBuffer length] sent to deallocated object",
    "a double release": "[MTLBuffer release] sent to deallocated object",
    "use after the pool drained": "[NSString length] sent to deallocated object",
    "autorelease without a pool": "autoreleased with no pool in place",
    "commit with an open encoder": "commit] with an open encoder",
    "a second commit": "committed twice",
    "an encoder without endEncoding": "encoder released without endEncoding",
    "an encoder after its end": "setComputePipelineState:] after endEncoding",
    "an encoder on two threads": "on another thread than made it",
    "two encoders at once": "while another encoder is open",
    "a wait before commit": "waitUntilCompleted] before commit",
    "a GPU time before completion": "GPUEndTime] before the command buffer completed",
    "a late completion handler": "addCompletedHandler:] after commit",
    "an exception in a completion handler": "terminating",
    "a dispatch without a pipeline": "dispatch without a pipeline",
    "a missing binding": "missing binding: buffer(1) 'n'",
    "a threadgroup over the pipeline's limit": "512 threads per threadgroup; the pipeline allows",
    "a grid of nothing": "a size of zero",
    "too much threadgroup memory": "65536 bytes of threadgroup memory",
    "odd threadgroup memory": "not a multiple of 16",
    "a buffer that is too short": "2 bytes at buffer(0) 'out', whose type needs 4",
    "an offset past the end": "offset 16 of length 16",
    "setBytes of 5000 bytes": "Metal takes 1 to 4096",
    "setBytes for a buffer that is written": "which the kernel writes",
    "buffer index 31": "the last is 30",
    "an empty buffer": "length must not be zero",
    "no-copy of unaligned memory": "must be multiples of 16384",
    "a buffer released before its command buffer ran": "released before its command buffer ran",
}


def run(name, *arguments):
    environment = os.environ | {"METAL_DOUBLE_LEAKS": "1"}
    return subprocess.run(
        [program(name), *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("misuse", MISUSES)
def test_the_double_ends_misuse_by_name(misuse):
    done = run("misuse", misuse)
    assert done.returncode < 0, "the misuse went through"
    assert MISUSES[misuse] in done.stderr


def test_every_misuse_that_the_program_knows_is_tested():
    assert {*run("misuse").stdout.splitlines()} == {*MISUSES, "nothing", "a leak"}


def test_right_use_passes_and_leaks_nothing():
    done = run("misuse", "nothing")
    assert (done.returncode, done.stderr) == (0, "metal double: 0 objects leaked\n")


def test_a_leak_is_reported_with_what_it_keeps_alive():
    done = run("misuse", "a leak")
    assert re.search(r"leak: MTLBuffer #\d+ \(1 references\)", done.stderr)
    assert done.stderr.endswith("metal double: 2 objects leaked\n")  # the buffer holds its device


ENCODER = [
    "-[MTLCommandQueue commandBufferWithUnretainedReferences]",
    "-[MTLCommandBuffer computeCommandEncoder]",
    "-[MTLComputeCommandEncoder setComputePipelineState:]",
    "-[MTLComputeCommandEncoder setBuffer:offset:atIndex:]",
]
EACH = [
    "-[MTLComputeCommandEncoder setBytes:length:atIndex:]",
    "-[MTLComputeCommandEncoder dispatchThreads:threadsPerThreadgroup:]",
]
END = [
    "-[MTLComputeCommandEncoder endEncoding]",
    "-[MTLCommandBuffer commit]",
    "-[MTLCommandBuffer waitUntilCompleted]",
    "-[MTLCommandBuffer status]",
    "-[MTLCommandBuffer GPUStartTime]",
    "-[MTLCommandBuffer GPUEndTime]",
]


def test_a_warm_launch_sends_the_messages_that_the_documentation_lists():
    done = run("launch_cost", "2000")
    assert done.returncode == 0, done.stderr
    launch = [*ENCODER, *EACH, *END]
    expected = {
        "copied": launch,
        "array of PyMetal's": launch,
        "foreign pages": [
            "-[MTLDevice newBufferWithBytesNoCopy:length:options:deallocator:]",
            *launch,
            "-[MTLBuffer release]",
        ],
        "a batch of three": [*ENCODER, *EACH * 3, *END],
    }
    parts = re.split(r"^([a-z].*)\n(?=[-+]\[)", done.stdout, flags=re.M)[1:]
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    messages = {
        name: [line for line in text.splitlines() if line[0] == "-"] for name, text in texts.items()
    }
    assert messages == expected
    table = (Path(__file__).parent.parent / "docs/apple.md").read_text()
    counts = " | ".join(f"**{len(messages[name])}**" for name in expected)
    assert f"| **in all, two arguments** | {counts} |" in table
    for name, text in list(texts.items())[:3]:
        count, sent, allocations, before, after = re.search(
            r"launches (\d+) messages (\S+) allocations (\S+) living (\d+) (\d+)", text
        ).groups()
        assert count == "2000"
        assert float(sent) == len(messages[name])
        assert float(allocations) == 0, "a warm launch allocates"
        assert before == after, "launches leave objects behind"

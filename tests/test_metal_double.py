"""The double of Metal catches every misuse by name, and says what a launch costs."""

import os
import re
import subprocess

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


def test_a_warm_launch_sends_the_messages_that_the_documentation_lists():
    done = run("launch_cost", "2000")
    assert done.returncode == 0, done.stderr
    copied, no_copy = done.stdout.split("no copy\n")
    launch = [
        "-[MTLCommandQueue commandBufferWithUnretainedReferences]",
        "-[MTLCommandBuffer computeCommandEncoder]",
        "-[MTLComputeCommandEncoder setComputePipelineState:]",
        "-[MTLComputeCommandEncoder setBuffer:offset:atIndex:]",
        "-[MTLComputeCommandEncoder setBytes:length:atIndex:]",
        "-[MTLComputeCommandEncoder dispatchThreads:threadsPerThreadgroup:]",
        "-[MTLComputeCommandEncoder endEncoding]",
        "-[MTLCommandBuffer commit]",
        "-[MTLCommandBuffer waitUntilCompleted]",
        "-[MTLCommandBuffer status]",
        "-[MTLCommandBuffer GPUStartTime]",
        "-[MTLCommandBuffer GPUEndTime]",
    ]
    assert [line for line in copied.splitlines() if line[0] == "-"] == launch
    assert [line for line in no_copy.splitlines() if line[0] == "-"] == [
        "-[MTLDevice newBufferWithBytesNoCopy:length:options:deallocator:]",
        *launch,
        "-[MTLBuffer release]",
    ]
    for text in (copied, no_copy):
        count, messages, allocations, before, after = re.search(
            r"launches (\d+) messages (\S+) allocations (\S+) living (\d+) (\d+)", text
        ).groups()
        assert count == "2000"
        assert float(messages) == text.count("-[")
        assert float(allocations) == 0, "a warm launch allocates"
        assert before == after, "launches leave objects behind"

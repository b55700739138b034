"""Launches of a queue on the metal device share a command buffer; arrays keep their buffers."""

import gc
import os

import numpy as np
import pytest

import pymetal

SOURCE = """
kernel void add(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                constant float& by [[buffer(2)]], uint gid [[thread_position_in_grid]]) {
    out[gid] = x[gid] + by;
}
kernel void scale(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
                  constant float& by [[buffer(2)]], uint gid [[thread_position_in_grid]]) {
    out[gid] = x[gid] * by;
}
"""
PAGES = 8192  # float32: 32 KiB, whole pages of Apple silicon


@pytest.fixture(params=["copies", "rooms"])
def array(request):
    """Makes arrays on memory that is copied, or on memory that GPU and processor share."""
    if request.param == "rooms":
        return lambda size: pymetal.zeros(size)
    return lambda size: np.zeros(size + 1, np.float32)[1:]


class Calls:
    """The kernels with warm calls for one size, so that a queue can batch them."""

    def __init__(self, size=PAGES):
        library = pymetal.compile(SOURCE, device="metal")
        self.kernels = {name: library[name] for name in ("add", "scale")}
        for name in self.kernels:
            self(name, np.zeros(size, np.float32), np.zeros(size, np.float32), 1.0)

    def __call__(self, name, out, x, by, queue=None):
        self.kernels[name](out, x, by, grid=out.size, threadgroup=64, queue=queue)


@pytest.fixture
def calls(double):
    return Calls()


def command_buffers(double, run):
    """How many command buffers the launches of `run` take, and what it returns."""
    before = double.command_buffers()
    result = run()
    return double.command_buffers() - before, result


def batch(calls, launches):
    queue = pymetal.Queue()
    with queue.batch():
        for name, out, x, by in launches:
            calls(name, out, x, by, queue)
    return queue.wait()


def test_a_batch_is_one_command_buffer_and_each_launch_sees_those_before_it(double, calls, array):
    x, y, z = (array(PAGES) for _ in range(3))
    x[:] = np.arange(PAGES)
    launches = [("add", y, x, 1.0), ("scale", z, y, 3.0), ("add", x, z, 0.5), ("scale", x, x, 2.0)]
    count, records = command_buffers(double, lambda: batch(calls, launches))
    assert count == 1
    assert [record.kernel for record in records] == ["add", "scale", "add", "scale"]
    start = np.arange(PAGES, dtype=np.float32)
    np.testing.assert_array_equal(y, start + 1)
    np.testing.assert_array_equal(z, (start + 1) * 3)
    np.testing.assert_array_equal(x, ((start + 1) * 3 + np.float32(0.5)) * 2)


def test_launches_whose_arrays_overlap_in_part_wait_for_each_other(double, array):
    calls = Calls(100)
    memory, other = array(400), array(100)
    memory[:] = np.arange(400)
    launches = [
        ("add", memory[100:200], memory[:100], 1000.0),
        ("add", other, memory[150:250], 1.0),  # half of it is what the first wrote
        ("scale", memory[250:350], other, 2.0),
    ]
    count, _ = command_buffers(double, lambda: batch(calls, launches))
    assert count == 2
    expected = np.arange(400, dtype=np.float32)
    expected[100:200] = expected[:100] + 1000
    np.testing.assert_array_equal(other, expected[150:250] + 1)
    expected[250:350] = (expected[150:250] + 1) * 2
    np.testing.assert_array_equal(memory, expected)


def test_read_only_overlaps_share_a_command_buffer(double, array):
    calls = Calls(2000)
    memory, outs = array(3000), [array(2000) for _ in range(3)]
    memory[:] = np.arange(3000)
    launches = [("add", out, memory[i * 500 : i * 500 + 2000], 1.0) for i, out in enumerate(outs)]
    count, _ = command_buffers(double, lambda: batch(calls, launches))
    assert count == 1
    for i, out in enumerate(outs):
        np.testing.assert_array_equal(out, memory[i * 500 : i * 500 + 2000] + 1)


def test_a_small_array_is_read_as_it_was_written_within_the_batch(double, array):
    calls = Calls(16)  # 64 bytes: alone they would go by setBytes
    x, y = array(16), array(16)
    count, _ = command_buffers(
        double, lambda: batch(calls, [("add", x, y, 5.0), ("scale", y, x, 2.0), ("add", x, y, 1.0)])
    )
    assert count == 1
    np.testing.assert_array_equal(x, np.full(16, 11, np.float32))


def test_an_error_in_a_command_buffer_names_its_launches_and_drops_what_follows(double, calls):
    x, y = np.zeros(PAGES, np.float32), np.zeros(PAGES, np.float32)
    double.fault("command buffer", 2, "Timed out")
    queue = pymetal.Queue()
    with queue.batch():
        for _ in range(3):
            calls("add", y, x, 1.0, queue)
    with pytest.raises(pymetal.KernelFault) as caught:
        queue.wait()
    assert str(caught.value).startswith(
        "one of 3 launches that ran together, the first add: the GPU's watchdog stopped the kernel"
    )
    assert (caught.value.domain, caught.value.code) == ("MTLCommandBufferErrorDomain", 2)
    assert [r.kernel for r in batch(calls, [("add", y, x, 2.0)] * 2)] == ["add", "add"]
    np.testing.assert_array_equal(y, np.full(PAGES, 2, np.float32))


@pytest.mark.parametrize("fault", ["no buffer", "no command buffer", "no encoder"])
def test_a_batch_that_metal_makes_nothing_for_fails_and_the_next_works(double, calls, fault):
    x, y = np.zeros(100_001, np.float32)[1:], np.zeros(PAGES, np.float32)
    launches = [("add", y, x, 1.0)] * 3
    double.fault(fault)  # no launch had an array as long as x: the pool has no buffer for it
    with pytest.raises(pymetal.DeviceError, match=r"one of 3 launches .*: Metal made no"):
        batch(calls, launches)
    assert len(batch(calls, launches)) == 3
    np.testing.assert_array_equal(y, np.ones(PAGES, np.float32))


def test_launches_that_would_run_long_together_do_not_share_a_command_buffer(double, calls):
    x, y = pymetal.zeros(PAGES), pymetal.zeros(PAGES)
    double.fault("gpu time", 200_000, times=-1)
    calls("add", y, x, 1.0)  # from now on it is known to take 0.2 s
    count, records = command_buffers(double, lambda: batch(calls, [("add", y, x, 1.0)] * 5))
    assert count == 3  # of two, two and one: half a second at most
    assert [round(record.gpu_seconds, 6) for record in records] == [0.2] * 5


def test_two_devices_in_one_queue_keep_the_order(double, calls):
    software = pymetal.compile(SOURCE, device="cpu")["add"]
    x = pymetal.zeros(PAGES)
    software(x, x, 0.0, grid=PAGES, threadgroup=64)
    queue = pymetal.Queue()
    with queue.batch():
        for _ in range(3):
            calls("scale", x, x, 2.0, queue)
            software(x, x, 1.0, grid=PAGES, threadgroup=64, queue=queue)
    assert len(queue.wait()) == 6
    np.testing.assert_array_equal(x, np.full(PAGES, 7, np.float32))


def test_an_array_keeps_its_buffer_until_its_memory_goes_back_to_the_system(double, calls):
    size = 1 << 20  # 4 MiB: mapped, and unmapped when it dies

    def buffers():
        gc.collect()
        return sum("MTLBuffer" in line for line in double.living())

    before = buffers()
    x, y = pymetal.zeros(size), pymetal.zeros(size)
    for _ in range(3):
        calls("add", y, x, 1.0)
    assert buffers() == before + 2
    del x
    assert buffers() == before + 1
    np.testing.assert_array_equal(y, np.ones(size, np.float32))
    del y
    assert buffers() == before


def test_kernels_results_are_used_where_they_lie(double, calls):
    add = calls.kernels["add"]

    def chain():
        y = add(pymetal.output(PAGES), x, 1.0, grid=PAGES, threadgroup=64)
        return add(pymetal.output(PAGES), y, 1.0, grid=PAGES, threadgroup=64)

    x = pymetal.zeros(PAGES)
    for _ in range(3):
        chain()  # their memory is used again, and so are its buffers
    double.fault("no buffer", times=-1)
    np.testing.assert_array_equal(chain(), np.full(PAGES, 2, np.float32))


def test_a_forked_child_drops_arrays_without_a_word_to_metal(double, calls):
    x, y = pymetal.zeros(1 << 20), pymetal.zeros(1 << 20)
    calls("add", y, x, 1.0)
    child = os.fork()
    if child == 0:
        before = double.messages()
        del x, y
        os._exit(0 if double.messages() == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

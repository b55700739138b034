"""What `run_metal_kernel` compiles, and when: files, edits, shipped kernels, threads, forks."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fake_device import FakeDevice, FakeLibrary
from run_scale import SCALE, run, scale_device, write

from pymetal import FunctionNotFoundError, loading, run_metal_kernel
from pymetal.find import find


@pytest.fixture
def fake():
    return scale_device()


def settle(path):
    """Make a file older than the resolution of time stamps."""
    past = time.time() - 100
    os.utime(path, (past, past))


@pytest.mark.parametrize("settled", [False, True])
def test_a_second_call_compiles_nothing(kernels, fake, settled):
    write(kernels, "scale", SCALE)
    if settled:
        settle(kernels / "scale.metal")
    for _ in range(3):
        run(fake)
    assert len(fake.sources) == 1
    assert len(fake.pipelines) == 1
    assert len(fake.launches) == 3


def test_an_edited_file_is_seen_at_once(kernels, fake):
    """Even an edit of the same length within the same time stamp."""
    for number in "123":
        path = kernels / "scale.metal"
        path.write_text(SCALE + f"// edit {number}\n")
        os.utime(path, (1e9, 1e9)) if number == "3" else None
        run(fake)
    assert [text[-2] for text in fake.sources] == ["1", "2", "3"]


def test_an_edit_that_keeps_the_time_stamp_is_seen(kernels, fake):
    path = kernels / "scale.metal"
    for number in "12":
        path.write_text(SCALE + f"// edit {number}\n")
        os.utime(path, (1e9, 1e9))
        run(fake)
    assert len(fake.sources) == 2


def test_a_touched_file_and_an_undone_edit_compile_nothing(kernels, fake):
    write(kernels, "scale", SCALE)
    run(fake)
    os.utime(kernels / "scale.metal")
    run(fake)
    write(kernels, "scale", SCALE + "// changed\n")
    run(fake)
    write(kernels, "scale", SCALE)
    run(fake)
    assert len(fake.sources) == 2


def test_an_edited_include_is_seen_at_once(kernels, fake):
    (kernels / "inner.h").write_text("#define FACTOR 1\n")
    (kernels / "outer.h").write_text('#include "inner.h"\n')
    write(kernels, "scale", '#include "outer.h"\n' + SCALE)
    for path in kernels.iterdir():
        settle(path)
    run(fake)
    run(fake)
    assert len(fake.sources) == 1
    (kernels / "inner.h").write_text("#define FACTOR 2\n")
    run(fake)
    run(fake)
    assert len(fake.sources) == 2


def test_a_new_file_earlier_in_the_search_is_used_at_once(kernels, fake, tmp_path, monkeypatch):
    later = tmp_path / "later"
    later.mkdir()
    monkeypatch.setenv("PYMETAL_KERNEL_PATH", str(later))
    write(later, "scale", SCALE)
    run(fake)
    write(kernels, "scale", SCALE + "// mine\n")
    run(fake)
    assert fake.sources[-1].endswith("// mine\n")


def test_a_broken_edit_fails_and_its_repair_works(kernels, fake):
    write(kernels, "scale", SCALE)
    run(fake)
    write(kernels, "scale", SCALE.replace("void scale", "void scale_by"))
    with pytest.raises(FunctionNotFoundError):
        run(fake)
    write(kernels, "scale", SCALE)
    run(fake)


def test_a_metallib_by_path(tmp_path, fake):
    path = tmp_path / "mine.metallib"
    path.write_bytes(b"MTLB")
    run_metal_kernel(f"{path}:scale", [np.ones(4, np.float32), 2.0], 4, 4, 4, device=fake)
    assert fake.sources == []
    assert len(fake.launches) == 1


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """An installed package's folder of kernels, precompiled."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    write(folder, "scale", SCALE)
    (folder / "kernels.metallib").write_bytes(b"MTLB")
    digest = hashlib.sha256(SCALE.encode()).hexdigest()
    (folder / "kernels.sha256").write_text(f"{digest}  scale.metal\n")
    monkeypatch.setattr("pymetal.find.shipped_dir", lambda: folder)
    return folder


def test_shipped_kernels_run_precompiled(kernels, shipped, fake):
    run(fake)
    assert fake.sources == []
    assert len(fake.launches) == 1


def test_an_edited_shipped_kernel_is_compiled_from_its_source(kernels, shipped, fake):
    run(fake)
    write(shipped, "scale", SCALE + "// edited\n")
    run(fake)
    assert len(fake.sources) == 1
    kernel = loading.library_of(find("scale"), fake).kernel("scale")
    (note,) = kernel.report.notes
    assert "compiled from source" in note
    assert "scale.metal" in note


def test_a_shipped_kernel_that_nobody_vouches_for_is_compiled(kernels, shipped, fake):
    (shipped / "kernels.sha256").unlink()
    run(fake)
    assert len(fake.sources) == 1


def test_a_damaged_library_of_shipped_kernels_is_said_and_passed_over(kernels, shipped, fake):
    (shipped / "kernels.metallib").write_bytes(b"damaged")
    with pytest.warns(RuntimeWarning, match="compiled from source"):
        run(fake)
    assert len(fake.sources) == 1


def test_many_threads_compile_once(kernels, fake):
    write(kernels, "scale", SCALE)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run(fake), range(64)))
    assert len(fake.sources) == len(fake.pipelines) == 1
    assert len(fake.launches) == 64


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.parametrize("stage", ["library_from_source", "pipeline"])
def test_a_child_forked_while_another_thread_compiles_is_not_stuck(
    kernels, fake, stage, monkeypatch
):
    write(kernels, "scale", SCALE)
    compiling, go_on = threading.Event(), threading.Event()

    owner = FakeDevice if stage == "library_from_source" else FakeLibrary
    compile_at_once = getattr(owner, stage)

    def compile_slowly(*arguments):
        if threading.current_thread() is not threading.main_thread():
            compiling.set()
            go_on.wait(30)
        return compile_at_once(*arguments)

    monkeypatch.setattr(owner, stage, compile_slowly)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(run, fake)
        compiling.wait(30)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads alive
            child = os.fork()
        if child == 0:
            signal.alarm(20)  # a stuck child ends by itself
            run(fake)
            os._exit(0)
        go_on.set()
        other.result()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

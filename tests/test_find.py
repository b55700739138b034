"""Where kernels are found by name, and what is said when they are not."""

from __future__ import annotations

import os

import pytest

from pymetal import ArgumentError, FunctionNotFoundError, run_metal_kernel
from pymetal.find import find, shipped_dir


def add(folder, name="scale"):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.metal"
    path.write_text(f"kernel void {name}() {{}}\n")
    return path


def test_the_current_folders_kernels_come_before_the_path(kernels, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("PYMETAL_KERNEL_PATH", os.pathsep.join([str(first), "", str(second)]))
    expected = [add(second), add(first), add(kernels)]
    for path in reversed(expected):
        found = find("scale")
        assert found.path.samefile(path)
        assert found.function == "scale"
        assert not found.shipped
        path.unlink()
    with pytest.raises(FunctionNotFoundError):
        find("scale")


def test_kernel_dirs_are_searched_before_all_others(kernels, tmp_path):
    add(kernels)
    mine = add(tmp_path / "mine")
    assert find("scale", [tmp_path / "mine"]).path.samefile(mine)
    assert find("scale", str(tmp_path / "mine")).path.samefile(mine)
    assert find("scale", [tmp_path / "absent"]).path.samefile(kernels / "scale.metal")


def test_shipped_kernels_are_found_last_and_from_any_folder(kernels):
    found = find("matmul")
    assert found.shipped
    assert found.path.parent == shipped_dir()
    mine = add(kernels, "matmul")
    assert find("matmul").path.samefile(mine)
    assert not find("matmul").shipped


def test_a_file_and_one_of_its_functions(kernels):
    path = add(kernels)
    found = find("scale:scale_fast")
    assert found.path.samefile(path)
    assert found.function == "scale_fast"


def test_a_path_is_taken_as_it_is(kernels, tmp_path):
    path = add(tmp_path / "elsewhere")
    assert find(str(path)).function == "scale"
    assert find(f"{path}:other").function == "other"
    with pytest.raises(FunctionNotFoundError, match=r"there is no file .*absent\.metal"):
        find("absent.metal")


def test_what_is_not_found_tells_where_it_was_looked_for(kernels, tmp_path, monkeypatch):
    monkeypatch.setenv("PYMETAL_KERNEL_PATH", str(tmp_path / "nowhere"))
    add(kernels)
    with pytest.raises(FunctionNotFoundError) as caught:
        find("scael", [tmp_path])
    text = str(caught.value)
    assert "there is no scael.metal in" in text
    for folder in (tmp_path, kernels, f"{tmp_path / 'nowhere'} (no such folder)", shipped_dir()):
        assert f"  {folder}\n" in text
    assert "scale" in caught.value.available
    assert "matmul" in caught.value.available


def test_the_name_of_a_function_in_another_file_is_recognised(kernels):
    with pytest.raises(FunctionNotFoundError, match="pass 'softmax:softmax_simd'"):
        find("softmax_simd")
    (kernels / "mine.metal").write_text(
        "// softmax_simd is not here\n"
        "[[max_total_threads_per_threadgroup(64)]] kernel void\nblur(device float* x) {}\n"
        'template [[host_name("blur_half")]] kernel decltype(blurred<half>) blurred<half>;\n'
    )
    for name in ("blur", "blur_half"):
        with pytest.raises(FunctionNotFoundError, match=f"pass 'mine:{name}'"):
            find(name)
    (kernels / "others.metal").write_text("kernel void blur (device int* x) {}")
    with pytest.raises(FunctionNotFoundError, match="pass 'mine:blur' or 'others:blur'"):
        find("blur")


def test_a_misspelt_name_is_recognised(kernels):
    with pytest.raises(FunctionNotFoundError, match=r"Did you mean 'softmax'\?"):
        find("sotfmax")
    with pytest.raises(FunctionNotFoundError, match=r"Did you mean 'softmax:softmax_half'\?"):
        find("softmax_half")  # which a macro makes


@pytest.mark.parametrize("name", ["", "a/b", "../matmul", "x\0y", ":f"])
def test_what_is_no_name_is_refused(kernels, name):
    with pytest.raises(FunctionNotFoundError, match="no kernel"):
        find(name)


def test_a_name_that_is_no_string_is_refused(kernels):
    with pytest.raises(ArgumentError, match="a kernel's name is a string, got int"):
        find(5)


def test_another_current_folder_has_another_kernel_of_the_name(tmp_path, monkeypatch):
    for value in (1, 2):
        folder = tmp_path / str(value) / "kernels"
        folder.mkdir(parents=True)
        path = folder / "fill.metal"
        path.write_text(f"kernel void fill(device float* out) {{ out[0] = {value}; }}")
        os.utime(path, (1e9, 1e9))  # old enough to be trusted, and no help in telling them apart
    for value in (1, 1, 2, 2, 1):
        monkeypatch.chdir(tmp_path / str(value))
        assert run_metal_kernel("fill", [], 1, 1, 1)[0] == value
    (tmp_path / "1" / "kernels" / "fill.metal").unlink()
    with pytest.raises(FunctionNotFoundError):
        run_metal_kernel("fill", [], 1, 1, 1)


def test_a_file_that_comes_or_goes_changes_what_a_known_name_means(kernels, tmp_path, monkeypatch):
    def put(folder, value):
        folder.mkdir(exist_ok=True)
        path = folder / "fill.metal"
        path.write_text(f"kernel void fill(device float* out) {{ out[0] = {value}; }}")
        os.utime(path, (1e9, 1e9))  # old enough to be trusted, and no help in telling them apart
        return path

    def value(**options):
        first, again = (run_metal_kernel("fill", [], 1, 1, 1, **options)[0] for _ in range(2))
        assert first == again
        return first

    on_path, mine = tmp_path / "path", tmp_path / "mine"
    put(on_path, 1)
    monkeypatch.setenv("PYMETAL_KERNEL_PATH", str(on_path))
    assert value() == value(kernel_dirs=mine) == 1
    in_kernels = put(kernels, 2)
    assert value() == value(kernel_dirs=mine) == value(kernel_dirs=[mine]) == 2
    in_mine = put(mine, 3)
    assert value() == 2
    assert value(kernel_dirs=mine) == value(kernel_dirs=str(mine)) == value(kernel_dirs=[mine]) == 3
    in_mine.unlink()
    assert value(kernel_dirs=mine) == 2
    in_kernels.unlink()
    assert value() == value(kernel_dirs=mine) == 1
    monkeypatch.setenv("PYMETAL_KERNEL_PATH", str(mine))
    put(mine, 4)
    assert value() == 4
    monkeypatch.delenv("PYMETAL_KERNEL_PATH")
    with pytest.raises(FunctionNotFoundError):
        value()

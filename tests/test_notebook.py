"""`%%metal` in a notebook, run by a real kernel of Jupyter."""

from __future__ import annotations

import re

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbclient and ipykernel are not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

METAL = """#include <metal_stdlib>
using namespace metal;
constant int stride [[function_constant(0)]];
kernel void add(device float* out [[buffer(0)]], device const float* x [[buffer(1)]],
    uint i [[thread_position_in_grid]])
{
    out[i] = x[i] + OFFSET;
}
kernel void count(device int* out [[buffer(0)]], uint i [[thread_position_in_grid]])
{
    out[i] = stride * i;
}
"""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs cells in a new kernel, errors included; returns what each shows."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))

    def execute(*cells: str) -> list[str]:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        nbclient.NotebookClient(
            notebook,
            timeout=300,
            allow_errors=True,
            kernel_name="python3",
            resources={"metadata": {"path": str(tmp_path)}},
        ).execute()
        return [COLOUR.sub("", "\n".join(map(shown, cell.outputs))) for cell in notebook.cells]

    return execute


def shown(output) -> str:
    if output.output_type == "error":
        return "\n".join([f"[{output.ename}]", *output.traceback])
    if output.output_type == "stream":
        return output.text
    return output.data["text/plain"]


def test_a_cells_kernels_are_in_the_namespace_and_its_errors_in_the_cell(run, tmp_path):
    (tmp_path / "shift.h").write_text("#define OFFSET SHIFT\n")
    shapes = "grid=4, threadgroup=4"
    cells = run(
        "%load_ext pymetal",
        f'%%metal --device cpu -I . -D SHIFT=3 --library lib\n#include "shift.h"\n{METAL}',
        f"import numpy as np, pymetal\nadd(pymetal.output(4), np.ones(4, 'f4'), {shapes})",
        f"lib.kernel('count', {{'stride': 5}})(pymetal.output(4), {shapes})",
        "count",
        f"%%metal\n{METAL}",
        "%%metal --device gpu\nkernel void k(device int* x) { *x = 1; }",
        "%%metal --math-mode wild\nkernel void k(device int* x) { *x = 1; }",
        "add.name",
    )
    loaded, compiled, added, counted, count, wrong, gpu, wild, still = cells
    assert loaded == ""
    assert re.fullmatch(r"<pymetal.Library .* on cpu: add, count>", compiled)
    assert "4., 4., 4., 4." in added
    assert " 0,  5, 10, 15" in counted
    assert "NameError" in count  # it needs a constant
    # Line 8 of the cell, whose first line is the magic's.
    assert wrong.startswith(
        "[CellError]\ncell:8:21: error: use of undeclared identifier 'OFFSET'\n"
        "    out[i] = x[i] + OFFSET;\n                    ^"
    )
    assert "Traceback" not in wrong
    assert "[CellError]\nDeviceError: no device 'gpu'" in gpu
    assert "[CellError]\nArgumentError: argument --math-mode: invalid choice: 'wild'" in wild
    assert still == "'add'"  # what was there before an error still is

"""Help for tests of kernels: `assert_matches` compares one with a reference in float64.

    from pymetal.testing import Case, assert_matches

    def case(n, rng):
        x = rng.standard_normal(n, np.float32)
        return Case(pymetal.output(n), x, 1.5, grid=n, threadgroup=256)

    def test_scale(metal_device):
        assert_matches("scale", lambda x, factor: factor * x, case, device=metal_device)

The fixture `metal_device` and the option `--device` are pytest's plugin, pymetal/pytest_plugin.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np

from pymetal.air.function import Argument
from pymetal.arguments import bind
from pymetal.arrays import viewed
from pymetal.datatypes import data_type
from pymetal.devices import Device, Size
from pymetal.devices import device as pick_device
from pymetal.errors import ArgumentError, Error
from pymetal.kernel import Kernel
from pymetal.library import Constants
from pymetal.loading import library_by_name
from pymetal.results import output
from pymetal.tolerance import Comparison, compare, gamma, is_floating

__all__ = ["Case", "assert_matches", "edge_sizes"]

Array = np.ndarray[Any, Any]
Reference = Callable[..., Any]

# Roundings that a kernel may need beside those of its sums: the least accurate function of the
# Metal Shading Language Specification, pow, may be off by 16 ULP, each two unit roundoffs.
ROUNDINGS = 32
# A prime, so a multiple of no simdgroup, threadgroup or vector.
LARGE_SIZE = 10_007


class Case:
    """One call of a kernel: values and sizes as for the kernel itself, and how exact it can be.

    Parameters
    ----------
    values, named, grid, threadgroup, threadgroups, threadgroup_memory, timeout
        As in a call, `pymetal.output(shape)` for outputs. Arrays that the kernel would write are
        copied before each run.
    terms
        How many terms each result adds up: the length of the reduction, 1 for none.
    magnitude
        What errors are relative to: the sum of the terms' magnitudes, a number or an array of the
        result's shape, such as `abs(A) @ abs(B)`. None: the largest finite value expected.
    label
        What to call it in messages.
    """

    def __init__(
        self,
        *values: Any,
        grid: Any = None,
        threadgroup: Any = None,
        threadgroups: Any = None,
        threadgroup_memory: Mapping[int, int] | None = None,
        timeout: float | None = None,
        terms: int = 1,
        magnitude: Any = None,
        label: str = "",
        **named: Any,
    ) -> None:
        if isinstance(terms, bool) or not isinstance(terms, (int, np.integer)) or terms < 1:
            raise ArgumentError(f"terms is {terms!r}; a result has 1 term or more")
        self.values, self.named = values, named
        self.grid, self.threadgroup, self.threadgroups = grid, threadgroup, threadgroups
        self.threadgroup_memory, self.timeout = threadgroup_memory, timeout
        self.terms, self.magnitude, self.label = int(terms), magnitude, label


def edge_sizes(threadgroup: int = 256, simdgroup: int = 32) -> tuple[int, ...]:
    """Sizes at which kernels go wrong: around the simdgroup and the threadgroup, one, and many."""
    around = [size + by for size in (simdgroup, threadgroup) for by in (-1, 0, 1)]
    return tuple(sorted({1, *(size for size in around if size > 0), LARGE_SIZE}))


def assert_matches(
    kernel: Kernel | str | PathLike[str],
    reference: Reference,
    cases: Iterable[Case] | Callable[[int, np.random.Generator], Case],
    *,
    sizes: Iterable[int] | None = None,
    device: str | Device | None = None,
    constants: Constants | None = None,
    arithmetic: Any = np.float32,
    roundings: float = ROUNDINGS,
    seed: int = 0,
) -> None:
    """Run a kernel and its reference on cases; fail at the first difference.

    Floats may differ by `roundings` and a rounding a term in `arithmetic`, relative to the case's
    magnitude, and one rounding of their own dtype. NaN and infinities must be where the reference
    has them, or where it exceeds the dtype's range. Integers and booleans must be equal.

    Parameters
    ----------
    kernel
        A kernel, or a name or path as `run_metal_kernel` takes it.
    reference
        What it should compute: called with the values of all arguments but outputs, in declared
        order, floats widened to float64; returns the result, or a tuple of them in declared
        order. Without any `output`, the arrays that the kernel may write are the results.
    cases
        Cases; or a function of a size and a random generator that makes one, for `sizes`.
    sizes
        None: `edge_sizes()`. Takes effect where `cases` is a function.
    device, constants
        As in `run_metal_kernel`, for a kernel given by name.
    arithmetic
        The dtype in which the kernel computes, whatever the dtype of its outputs.
    roundings
        How many beside those of sums. The default suffices for the functions of the library.
    seed
        Of the random generators.

    Raises
    ------
    AssertionError
        The first difference: index, both values, and on the software device the thread that
        wrote it and the line.
    ArgumentError
        There are no cases, or the reference's results have other shapes; and whatever the
        kernel's call raises.
    """
    if not callable(reference):
        raise ArgumentError(f"reference is {type(reference).__name__}, not a function")
    if not isinstance(kernel, Kernel):
        if not isinstance(kernel, (str, PathLike)):
            raise ArgumentError(f"kernel is {type(kernel).__name__}, not a Kernel or its name")
        name = kernel if isinstance(kernel, str) else fspath(kernel)
        library, function = library_by_name(name, None, pick_device(device))
        kernel = library.kernel(function, constants)
    number = -1
    for number, case in enumerate(_cases(cases, sizes, seed)):
        if not isinstance(case, Case):
            raise ArgumentError(f"case {number} is {type(case).__name__}, not a Case")
        _check(Run(kernel, case, f"case {number}"), reference, _relative(arithmetic, roundings))
    if number < 0:
        raise ArgumentError(f"{kernel.name}: there are no cases, so nothing was compared")


def _relative(arithmetic: Any, roundings: float) -> Callable[[int], float]:
    """The relative error of a sum of so many terms."""
    return lambda terms: gamma(roundings + terms, arithmetic)


def _cases(cases: Any, sizes: Iterable[int] | None, seed: int) -> Iterator[Case]:
    if callable(cases):
        for size in edge_sizes() if sizes is None else sizes:
            case = cases(size, np.random.default_rng([seed, size]))
            if isinstance(case, Case) and not case.label:
                case.label = f"size {size}"
            yield case
    elif isinstance(cases, Iterable):
        yield from cases
    else:
        raise ArgumentError(f"cases is {type(cases).__name__}, not Cases or a function")


@dataclass
class Run:
    """A case with its values in declared order."""

    kernel: Kernel
    case: Case
    name: str

    def __post_init__(self) -> None:
        case = self.case
        values, self.memory = self.kernel._ordered(case.values, case.named, case.threadgroup_memory)
        self.arguments = dict(zip(self.kernel.arguments, values, strict=True))
        if case.label:
            self.name += f" ({case.label})"

    def inputs(self) -> list[Any]:
        """What the reference is called with."""
        return [
            _wide(self.kernel, argument, value)
            for argument, value in self.arguments.items()
            if not isinstance(value, output)
        ]

    def values(self) -> list[Any]:
        """What the kernel is called with: what it may write are copies."""
        return [
            np.array(view)
            if argument.access != "read" and (view := viewed(value)) is not None
            else value
            for argument, value in self.arguments.items()
        ]

    def results(self) -> dict[Argument, Array]:
        """Run the kernel: what it wrote."""
        case, values = self.case, self.values()
        returned = self.kernel(
            *values,
            grid=case.grid,
            threadgroup=case.threadgroup,
            threadgroups=case.threadgroups,
            threadgroup_memory=self.memory,
            timeout=case.timeout,
        )
        marked = [a for a, value in self.arguments.items() if isinstance(value, output)]
        if marked:
            arrays = returned if isinstance(returned, tuple) else (returned,)
            return dict(zip(marked, arrays, strict=True))
        return {
            argument: value
            for argument, value in zip(self.arguments, values, strict=True)
            if argument.access != "read" and isinstance(value, np.ndarray)
        }

    def geometry(self) -> tuple[Any, Any]:
        case = self.case
        if case.threadgroups is None:
            return case.grid, case.threadgroup
        return self.kernel._counted(case.threadgroups, case.grid, case.threadgroup)

    def writer(self, argument: Argument, offset: int) -> str:
        """Who wrote a byte of a result, in words; "" where nobody can tell."""
        if self.kernel.device.name != "cpu":
            return "run it on device cpu to see which thread wrote it"
        from pymetal.cpu.checks.writer import last_writer

        launch = self.kernel._prepare(self.values(), *self.geometry(), self.memory)
        sizes: tuple[Size, Size] = (launch.grid, launch.threadgroup)
        try:
            party, where = last_writer(
                self.kernel._checked("checks"),
                launch.bindings,
                launch.threadgroup_memory,
                *sizes,
                argument.index,
                offset,
            )
        except Error:
            return ""  # it cannot be checked; the difference is what matters
        if party is None:
            return "no thread wrote it"
        return f"written by {party}" + (f", at {where}" if where else "")


def _check(run: Run, reference: Reference, relative: Callable[[int], float]) -> None:
    with np.errstate(all="ignore"):  # 1 / 0 may well be what the kernel computes
        expected = reference(*run.inputs())
    results = run.results()
    parts = expected if isinstance(expected, tuple) else (expected,)
    if len(parts) != len(results):
        raise ArgumentError(
            f"{run.kernel.name}: the reference gives {len(parts)} results, the kernel "
            f"{len(results)} ({', '.join(a.name for a in results) or 'none'})"
        )
    for (argument, result), exact in zip(results.items(), parts, strict=True):
        exact = np.asarray(exact)
        if result.dtype.names is not None or exact.dtype.kind not in "biuf":
            raise ArgumentError(
                f"{run.kernel.name}: '{argument.name}' and its reference are to be numbers, got "
                f"{result.dtype} and {exact.dtype}"
            )
        if exact.shape != result.shape:
            raise ArgumentError(
                f"{run.kernel.name}: '{argument.name}' has shape {result.shape}, the reference "
                f"gives {exact.shape}"
            )
        found = compare(result, exact, relative(run.case.terms) * _magnitude(run.case, exact))
        if found.wrong:
            raise AssertionError(_difference(run, argument, result, exact, found))


def _magnitude(case: Case, exact: Array) -> Any:
    if case.magnitude is not None:
        return np.abs(np.asarray(case.magnitude, np.float64))
    wide = np.abs(exact.astype(np.float64))
    return wide[np.isfinite(wide)].max(initial=0.0)


def _difference(
    run: Run, argument: Argument, result: Array, exact: Array, found: Comparison
) -> str:
    at = found.first
    place = ", ".join(map(str, at))
    lines = [
        f"{run.kernel.name}, {run.name}: '{argument.name}' has {found.wrong} of {result.size} "
        "elements wrong",
        f"  first at [{place}]: {_number(result[at])}, expected {_number(exact[at])}; off by "
        f"{found.error[at]:.3g}, allowed {found.allowed[at]:.3g}",
    ]
    offset = int(np.ravel_multi_index(at, result.shape)) if at else 0
    if who := run.writer(argument, offset * result.itemsize):
        lines.append(f"  {who}")
    grid, threadgroup = run.geometry()
    lines.append(f"  grid {grid}, threadgroup {threadgroup}")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{float(value):.9g}" if is_floating(value.dtype) else str(value)


def _wide(kernel: Kernel, argument: Argument, value: Any) -> Any:
    """A value as the kernel sees it, floats as float64."""
    view = viewed(value)
    if view is not None and view.ndim:
        return view.astype(np.float64) if is_floating(view.dtype) else view.copy()
    element = bind(
        kernel.function, argument, value, kernel.device.limits.max_buffer_bytes
    ).array  # rounded to the declared type
    if element.dtype.names is not None:
        return element[0]
    kind = data_type(argument.type_name)
    wide = element.astype(np.float64) if is_floating(element.dtype) else element
    if kind is None or kind.columns > 1:
        return wide
    return wide[0].item() if kind.is_scalar else wide[: kind.rows]

"""`run_metal_kernel`: from a kernel's name and inputs to a NumPy array in one call."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from operator import itemgetter
from typing import Any

import numpy as np

from pymetal import sanitizer
from pymetal.air.function import Argument
from pymetal.devices import Device
from pymetal.devices import device as pick_device
from pymetal.errors import ArgumentError
from pymetal.find import PathLike
from pymetal.kernel import Kernel
from pymetal.library import Constants
from pymetal.loading import library_by_name
from pymetal.results import output
from pymetal.shown import counted

NOTHING: nullcontext[None] = nullcontext()


def run_metal_kernel(
    name: str,
    inputs: Sequence[Any],
    output_shape: Any,
    grid_size: Any,
    threadgroup_size: Any,
    *,
    output_dtype: Any = None,
    kernel_dirs: Sequence[PathLike] | PathLike | None = None,
    constants: Constants | None = None,
    threadgroup_memory: Mapping[int, int] | None = None,
    device: str | Device | None = None,
    timeout: float | None = None,
    check: bool | str | None = None,
    validate: bool = False,
    save_on_fault: PathLike | None = None,
    profile: bool = False,
) -> Any:
    """Run a Metal kernel and return what it wrote.

    Parameters
    ----------
    name
        The kernel: function NAME of NAME.metal, found in `./kernels`, then the folders of
        `PYMETAL_KERNEL_PATH`, then the shipped kernels. `FILE:NAME` names another function of a
        file; a path that ends in `.metal` or `.metallib` is taken as it is.
    inputs
        Values for the other arguments, in declared order: arrays, numbers, tuples for vectors,
        dicts or structured scalars for structs. Arrays for arguments that the kernel writes are
        written in place.
    output_shape
        Shape of the output, which is buffer(0). A *list* of shapes: as many outputs, the
        buffers of lowest index. Shapes count scalars: 8 x float4 is 32.
    grid_size, threadgroup_size
        1 to 3 numbers of **threads**: in all, and in each threadgroup.
    output_dtype
        None: what the kernel declares. A list of them for several outputs.
    kernel_dirs
        Folders to search before the usual ones.
    constants
        Function constants by name or index.
    threadgroup_memory
        Bytes for each `[[threadgroup(n)]]` argument, by n.
    device
        "metal", "cpu" or a `Device`; None: `PYMETAL_DEVICE`, else the best one present.
    timeout
        Seconds after which the kernel is stopped, a KernelFault. None: `PYMETAL_TIMEOUT`, else
        for as long as it takes.
    check
        True: run with the sanitizer, on the software device whatever `device` is; slow.
        "nan": also values that are not finite, made of finite ones. "schedules": instead, run it
        with its threads in several orders, and compare. None: `PYMETAL_CHECK`.
    validate
        True: run with Metal's own shader validation, on a Metal device that no call has used
        before; where it is too late a DeviceError says what to set. It reports on standard error.
    save_on_fault
        Where to save the launch if it fails, as one file for `pymetal replay`.
    profile
        True: capture the launch for Xcode; the logger `pymetal` tells where. See `capture`.

    Returns
    -------
    numpy.ndarray, or a tuple of them for a list of shapes. Outputs are zero where the kernel
    does not write.

    Raises
    ------
    FunctionNotFoundError, CompileError, UnsupportedError, ArgumentError, LaunchError, KernelFault,
    DeviceError
    """
    shapes, dtypes = _outputs(output_shape, output_dtype)
    if not isinstance(inputs, (list, tuple)):
        raise ArgumentError(f"inputs is a list of values, got {type(inputs).__name__}: write [x]")
    if validate:
        from pymetal.metal.validation import validating_device

        chosen = validating_device(device)
    else:
        chosen = pick_device(device)
    if chosen.name == "metal" and sanitizer.wanted(check):
        warnings.warn(f"{name}: checks run on the software device, not on metal", stacklevel=2)
        chosen = pick_device("cpu")
    library, function = library_by_name(name, kernel_dirs, chosen)
    kernel = library.kernel(function, constants)
    values = in_declared_order(kernel, list(map(output, shapes, dtypes)), inputs)
    with _captured(chosen) if profile else NOTHING:
        results = kernel(
            *values,
            grid=grid_size,
            threadgroup=threadgroup_size,
            threadgroup_memory=threadgroup_memory,
            timeout=timeout,
            check=check,
            save_on_fault=save_on_fault,
        )
    return (results,) if isinstance(output_shape, list) and len(shapes) == 1 else results


@contextmanager
def _captured(device: Device) -> Iterator[None]:
    """A GPU capture around a launch, whose path goes to the log."""
    import logging  # a tenth of the time that importing PyMetal takes

    from pymetal.gpu_capture import capture

    with capture(device=device) as path:
        yield
    logging.getLogger("pymetal").warning("GPU capture: %s", path)


def _outputs(shape: Any, dtype: Any) -> tuple[list[Any], list[Any]]:
    """Shapes and dtypes, one for each output."""
    if not isinstance(shape, list):
        if isinstance(dtype, list):
            raise ArgumentError("output_dtype is a list, but output_shape names one output")
        return [shape], [dtype]
    if not shape:
        raise ArgumentError("output_shape is an empty list: a kernel has at least one output")
    if all(isinstance(part, (int, np.integer)) for part in shape):
        raise ArgumentError(
            f"output_shape {shape} is a list, which means several outputs: pass "
            f"{tuple(shape)} for one, {[(part,) for part in shape]} for {len(shape)}"
        )
    dtypes = dtype if isinstance(dtype, list) else [dtype] * len(shape)
    if len(dtypes) != len(shape):
        raise ArgumentError(
            f"output_dtype has {len(dtypes)} dtypes, output_shape {len(shape)} shapes"
        )
    return shape, dtypes


def in_declared_order(
    kernel: Kernel, outputs: Sequence[output], inputs: Sequence[Any]
) -> list[Any]:
    """Outputs to the buffers of lowest index, inputs to the others as declared."""
    arguments = kernel.arguments
    if len(outputs) == 1 and len(inputs) + 1 == len(arguments):
        values = [*inputs]
        values.insert(kernel.places_by_index[0], outputs[0])
        return values
    if len(outputs) > len(arguments):
        raise ArgumentError(
            f"{kernel.name} has {_count(arguments, 'argument')}, too few for "
            f"{len(outputs)} outputs\n{kernel}"
        )
    places = list(zip(kernel.places_by_index, outputs, strict=False))
    if len(places) > 1:
        places.sort(key=itemgetter(0))
    if len(inputs) + len(outputs) != len(arguments):
        written = {place for place, _ in places}
        rest = [argument for i, argument in enumerate(arguments) if i not in written]
        raise ArgumentError(
            f"{kernel.name} takes {_count(rest, 'input')} beside its "
            f"{'output' if len(outputs) == 1 else 'outputs'}, got {len(inputs)}\n{kernel}"
        )
    values = [*inputs]
    for place, marker in places:
        values.insert(place, marker)
    return values


def _count(arguments: Sequence[Argument], noun: str) -> str:
    names = f" ({', '.join(a.name for a in arguments)})" if arguments else ""
    return f"{counted(len(arguments), noun)}{names}" if arguments else f"no {noun}s"

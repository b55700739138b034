"""The engine behind the double's encoder: the software device, called through control.h.

The double runs this file when it first needs an engine (METAL_DOUBLE_ENGINE). Sources are compiled
and kernels run for real, and what goes wrong is said as Apple's compiler says it.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import traceback

import numpy as np

from pymetal.cpu.device import open_device
from pymetal.datatypes import data_type
from pymetal.devices import Binding
from pymetal.errors import CompileError, Error
from pymetal.source import CompileOptions, Source

COMPILE_FAILURE, PIPELINE_FAILURE, GPU_INTERNAL, GPU_TIMEOUT = 3, 3, 1, 2
# A GPU's watchdog stops kernels after some seconds; a launch behind an endless one waits for that.
WATCHDOG_SECONDS = 10
ACCESS = {"read": 0, "read_write": 1, "write": 2}
BUFFERS = 31

double = ctypes.CDLL("libmetal_double.so")


class Memory(ctypes.Structure):
    _fields_ = [("memory", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class Launch(ctypes.Structure):
    _fields_ = [
        ("grid", ctypes.c_size_t * 3),
        ("threadgroup", ctypes.c_size_t * 3),
        ("buffers", Memory * BUFFERS),
        ("threadgroup_memory", ctypes.c_size_t * BUFFERS),
    ]


class Engine(ctypes.Structure):
    _fields_ = [
        (
            "library",
            ctypes.CFUNCTYPE(
                ctypes.c_long,
                ctypes.c_void_p,
                ctypes.c_size_t,
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_void_p,
            ),
        ),
        (
            "pipeline",
            ctypes.CFUNCTYPE(
                ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p
            ),
        ),
        (
            "launch",
            ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long, ctypes.POINTER(Launch), ctypes.c_void_p),
        ),
        ("drop", ctypes.CFUNCTYPE(None, ctypes.c_long)),
    ]


device = open_device()
objects: dict[int, object] = {}  # libraries and (pipeline, arguments by index)
handles = itertools.count(1)


def keep(value: object) -> int:
    handle = next(handles)
    objects[handle] = value
    return handle


def reply(to: int, text: str) -> None:
    data = text.encode()
    double.metal_double_reply(ctypes.c_void_p(to), data, ctypes.c_size_t(len(data)))


def answering(code: int):
    """Errors become a negative code with their text; any other exception stops the tests."""

    def wrap(function):
        def call(*arguments):
            try:
                return function(*arguments)
            except Error as error:
                reply(arguments[-1], apple_text(error))
                return -GPU_TIMEOUT if getattr(error, "kind", "") == "timeout" else -code
            except BaseException:
                traceback.print_exc()
                reply(arguments[-1], traceback.format_exc())
                return -99

        return call

    return wrap


def apple_text(error: Error) -> str:
    """As Apple's compiler writes: a line a diagnostic, its source line and a caret below."""
    if not isinstance(error, CompileError) or not error.diagnostics:
        return str(error)
    return "\n".join(str(d).replace("<source>:", "program_source:", 1) for d in error.diagnostics)


def compile_options(text: str) -> CompileOptions:
    options: dict[str, object] = {}
    macros = []
    for line in text.splitlines():
        name, *values = line.split("\t")
        if name == "math":
            options["math_mode"] = values[0]
        elif name == "version":
            # The newest that the double's macOS has may be newer than the software device's.
            version = (int(values[0]), int(values[1]))
            options["language_version"] = version if version < (4, 0) else None
        elif name == "macro":
            macros.append((values[0], values[1]))
    return CompileOptions(macros=tuple(macros), **options)


@answering(COMPILE_FAILURE)
def library(data, size, is_metallib, options, to):
    content = ctypes.string_at(data, size)
    if is_metallib:
        made = device.library_from_metallib(content, "<data>")
    else:
        made = device.library_from_source(
            Source(content.decode()), compile_options(options.decode())
        )
    lines = []
    for name in made.function_names:
        lines.append(f"function\t{name}")
        for c in made.function(name).constants:
            type_name = data_type(c.type_name).name
            lines.append(f"constant\t{c.name}\t{c.index}\t{type_name}\t{int(c.required)}")
    reply(to, "\n".join(lines))
    return keep(made)


@answering(PIPELINE_FAILURE)
def pipeline(library_handle, name, constants, to):
    made = objects[library_handle]
    name = name.decode()
    function = made.function(name)
    values = {}
    for line in constants.decode().splitlines():
        index, digits = line.split("\t")
        constant = next(c for c in function.constants if c.index == int(index))
        kind = data_type(constant.type_name)
        numbers = np.frombuffer(bytes.fromhex(digits), kind.dtype)[: kind.rows]
        values[constant.name] = tuple(numbers.tolist()) if kind.rows > 1 else numbers[0].item()
    compiled = made.pipeline(name, values)
    arguments = compiled.function.arguments  # without those that are switched off
    lines = [
        f"limits\t{compiled.max_total_threads_per_threadgroup}"
        f"\t{compiled.static_threadgroup_memory_bytes}"
    ]
    for a in arguments:
        if a.kind == "buffer":
            lines += [
                f"buffer\t{a.index}\t{a.name}\t{ACCESS[a.access]}\t{type_name(a)}"
                f"\t{a.size_bytes}\t{a.align_bytes}",
                *members(a.fields, 0),
            ]
        elif a.kind == "threadgroup":
            lines.append(f"threadgroup\t{a.index}\t{a.name}\t{a.size_bytes}\t{a.align_bytes}")
    reply(to, "\n".join(lines))
    return keep((compiled, {a.index: a for a in arguments if a.kind == "buffer"}, arguments))


def type_name(argument) -> str:
    """The name that Metal has a number for."""
    if argument.points_to is not None:
        return "pointer"
    if argument.fields:
        return "struct"
    kind = data_type(argument.type_name)
    return kind.name if kind is not None else argument.type_name


def members(fields, depth: int) -> list[str]:
    lines = []
    for f in fields:
        lines.append(
            f"member\t{depth}\t{f.name}\t{type_name(f)}\t{f.offset}\t{f.array_length}\t{f.size_bytes}"
        )
        lines += members(f.fields, depth + 1)
    return lines


@answering(GPU_INTERNAL)
def launch(pipeline_handle, what, to):
    compiled, buffers, arguments = objects[pipeline_handle]
    what = what.contents
    bindings = []
    for index, argument in buffers.items():
        slot = what.buffers[index]
        memory = (ctypes.c_uint8 * slot.size).from_address(slot.memory)
        bindings.append(
            Binding(argument, np.frombuffer(memory, np.uint8), argument.access != "read")
        )
    memory = {
        a.index: what.threadgroup_memory[a.index] for a in arguments if a.kind == "threadgroup"
    }
    grid, threadgroup = tuple(what.grid), tuple(what.threadgroup)
    compiled.launch(bindings, memory, grid, threadgroup, timeout=WATCHDOG_SECONDS)
    return 0


def drop(handle):
    objects.pop(handle, None)


engine = Engine(
    *(
        kind(f)
        for (_, kind), f in zip(Engine._fields_, (library, pipeline, launch, drop), strict=True)
    )
)
double.metal_double_set_engine(ctypes.byref(engine))


@atexit.register
def leave() -> None:
    """Objects may outlive this module, whose functions are gone then."""
    engine.drop = type(engine.drop)()
    double.metal_double_set_engine(ctypes.byref(engine))

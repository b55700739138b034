"""The `.metallib` container: what is written reads back, and damage is named."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest

from pymetal.air.container import Container, Entry, write_metallib
from pymetal.errors import FunctionNotFoundError, LibraryError

BITCODE = b"BC\xc0\xde" + bytes(range(256)) * 2
OTHER = b"\xde\xc0\x17\x0b" + bytes(40)


@pytest.fixture
def library() -> bytes:
    return write_metallib(
        [
            Entry("softmax_float", "_Z7softmaxIfE", BITCODE),
            Entry("softmax_half", "_Z7softmaxIDhE", BITCODE),
            Entry("matmul", "matmul", OTHER),
        ]
    )


def read_everything(data: bytes) -> list[Entry]:
    container = Container(data, "damaged.metallib")
    return [container.entry(name) for name in container.names]


def test_what_is_written_reads_back_equal(library: bytes) -> None:
    container = Container(library)
    assert container.names == ("softmax_float", "softmax_half", "matmul")
    assert container.entry("softmax_half") == Entry("softmax_half", "_Z7softmaxIDhE", BITCODE)
    assert container.entry("matmul") == Entry("matmul", "matmul", OTHER, by_pymetal=True)


def test_functions_of_one_module_share_its_bytes(library: bytes) -> None:
    assert library.count(BITCODE) == 1


def test_writing_is_deterministic(library: bytes) -> None:
    assert library == write_metallib(
        [Container(library).entry(n) for n in Container(library).names]
    )


def test_a_file_is_mapped_and_read(library: bytes, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "kernels.metallib"
    path.write_bytes(library)
    assert Container.open(path).entry("matmul").bitcode == OTHER


def test_an_unknown_function_lists_those_there_are(library: bytes) -> None:
    with pytest.raises(FunctionNotFoundError, match="no kernel 'gelu'") as info:
        Container(library, "k.metallib").entry("gelu")
    assert info.value.available == ("softmax_float", "softmax_half", "matmul")


def test_two_functions_of_one_name_are_refused() -> None:
    with pytest.raises(LibraryError, match="two functions named 'f'"):
        write_metallib([Entry("f", "f", BITCODE), Entry("f", "g", OTHER)])


def test_every_truncation_is_an_error_that_names_the_file(library: bytes) -> None:
    for length in range(len(library)):
        with pytest.raises(LibraryError, match=r"damaged\.metallib"):
            read_everything(library[:length])


def test_every_truncation_with_a_corrected_size_is_an_error(library: bytes) -> None:
    for length in range(88, len(library)):
        data = bytearray(library[:length])
        struct.pack_into("<Q", data, 16, length)
        # Only padding behind the last module may be missing unnoticed, and there is none here
        # because the section's size no longer fits the file.
        with pytest.raises(LibraryError, match=r"damaged\.metallib"):
            read_everything(bytes(data))


@pytest.mark.parametrize("offset", range(16, 88, 8))
@pytest.mark.parametrize("value", [0, 1, 1 << 20, (1 << 63) - 1, (1 << 64) - 1])
def test_hostile_header_values_are_errors(library: bytes, offset: int, value: int) -> None:
    data = bytearray(library)
    struct.pack_into("<Q", data, offset, value)
    entries = read_everything(library)
    with contextlib.suppress(LibraryError):  # the metadata sections are not used yet
        assert read_everything(bytes(data)) == entries


def test_a_changed_byte_gives_the_same_functions_or_a_typed_error(library: bytes) -> None:
    rng = random.Random(0)
    originals = {entry.bitcode for entry in read_everything(library)}
    for _ in range(3000):
        data = bytearray(library)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            entries = read_everything(bytes(data))
        except LibraryError:
            continue
        assert {entry.bitcode for entry in entries} <= originals


def test_a_changed_module_is_found_by_its_hash(library: bytes) -> None:
    data = bytearray(library)
    data[library.index(BITCODE) + 100] ^= 1
    with pytest.raises(LibraryError, match="does not match its hash"):
        Container(bytes(data)).entry("softmax_float")


def test_a_count_of_four_thousand_million_functions_ends_at_once(library: bytes) -> None:
    data = bytearray(library)
    struct.pack_into("<I", data, 88, 0xFFFFFFFF)
    with pytest.raises(LibraryError):
        Container(bytes(data))


@pytest.mark.parametrize("data", [b"", b"MTLB", b"\0" * 200, b"MTLB" + b"\xff" * 84])
def test_what_is_no_metallib_is_refused(data: bytes, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LibraryError):
        Container(data)
    path = tmp_path / "x.metallib"
    path.write_bytes(data)
    with pytest.raises(LibraryError, match=r"x\.metallib"):
        Container.open(path)


def test_a_missing_file_is_an_error_with_its_path(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LibraryError, match=r"absent\.metallib: cannot be read"):
        Container.open(tmp_path / "absent.metallib")

"""The `.metallib` container: which functions a file holds, and the bitcode of each.

Layout, as read from files that Apple's tools wrote (little-endian; sizes in bytes):

    0   "MTLB", u16 platform, u16 + u16 container version, u8 type, u8 system, u16 + u16 its version
    16  u64 file size
    24  u64 offset and u64 size of: function list, public metadata, private metadata, bitcode
    88  function list: u32 count, then entries of u32 size and fields, each a 4-byte tag,
        u16 length, data; the tag "ENDT" alone closes an entry
    ... extra fields (a UUID, a list of reflection data) up to the public metadata

A function entry's fields are NAME, TYPE (2: kernel), HASH (SHA-256 of its bitcode), OFFT (three u64
offsets into the two metadata sections and the bitcode), VERS, MDSZ (size of its bitcode). Entries
that PyMetal wrote also have PYMT: the function's symbol in its module, so that several functions
can share one module and nobody mistakes the file for Apple's.

Opening walks the entries' sizes and names only; the rest of an entry is read when asked for.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pymetal.errors import FunctionNotFoundError, LibraryError

_HEADER = struct.Struct("<4sHHHBBHHQ8Q")
_KERNEL = 2
_SECTIONS = ("function list", "public metadata", "private metadata", "bitcode")
_BITCODE_MAGICS = (b"BC\xc0\xde", b"\xde\xc0\x17\x0b")  # plain, and in LLVM's wrapper
_EMPTY_METADATA = struct.pack("<I4s", 8, b"ENDT")


@dataclass(frozen=True)
class Entry:
    """One function of a container.

    `symbol` is its name in the module, `bitcode` the module. Entries may share one module.
    """

    name: str
    symbol: str
    bitcode: bytes
    by_pymetal: bool = True


class Container:
    """A `.metallib` in memory or mapped from a file, checked as far as it is read.

    `label` names it in errors. `names` are its kernels, in file order.
    """

    def __init__(self, data: bytes | mmap.mmap, label: str = "<metallib>") -> None:
        self.label = label
        self._data = data
        if len(data) < _HEADER.size:
            raise self._error(
                f"is {len(data)} bytes; the header of a .metallib alone is {_HEADER.size}"
            )
        magic, *_, size, lo0, ls0, lo1, ls1, lo2, ls2, lo3, ls3 = _HEADER.unpack_from(data, 0)
        if magic != b"MTLB":
            raise self._error(f"is no .metallib: it starts with {magic!r}, not b'MTLB'")
        if size != len(data):
            raise self._error(f"is {len(data)} bytes, but its header (byte 16) says {size}")
        sections = ((lo0, ls0), (lo1, ls1), (lo2, ls2), (lo3, ls3))
        for i, (offset, length) in enumerate(sections):
            if offset < _HEADER.size or offset + length > size:
                raise self._error(
                    f"has its {_SECTIONS[i]} at {offset}..{offset + length}, outside its "
                    f"{size} bytes (header byte {24 + 16 * i})"
                )
        self._bitcode = sections[3]
        self._entries: dict[str, tuple[int, int]] = {}
        self._index(lo0)
        self.names = tuple(self._entries)

    @classmethod
    def open(cls, path: str | Path) -> Container:
        """Map the file at `path`; only what is asked for is read."""
        try:
            with Path(path).open("rb") as file:
                if file.seek(0, 2) == 0:
                    raise LibraryError(f"{path}: is empty; it is no .metallib")
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise LibraryError(f"{path}: cannot be read: {error.strerror}") from error
        return cls(data, str(path))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def entry(self, name: str) -> Entry:
        """The function `name` with its bitcode, whose hash is checked."""
        if name not in self._entries:
            raise FunctionNotFoundError(
                f"{self.label}: no kernel '{name}' among its {len(self.names)}",
                available=self.names,
            )
        offset, _ = self._entries[name]
        fields = self._fields(name)
        place = self._field(fields, "OFFT", 24, offset)
        length = struct.unpack("<Q", self._field(fields, "MDSZ", 8, offset))[0]
        start = struct.unpack_from("<Q", place, 16)[0]
        if start + length > self._bitcode[1]:
            raise self._error(
                f"has the bitcode of '{name}' at {start}..{start + length} of a section of "
                f"{self._bitcode[1]} bytes (entry at byte {offset})"
            )
        start += self._bitcode[0]
        bitcode = self._data[start : start + length]
        if bitcode[:4] not in _BITCODE_MAGICS:
            raise self._error(f"has no LLVM bitcode for '{name}' at byte {start}: {bitcode[:4]!r}")
        if hashlib.sha256(bitcode).digest() != self._field(fields, "HASH", 32, offset):
            raise self._error(
                f"is damaged: the bitcode of '{name}' at byte {start} does not match its hash"
            )
        mark = fields.get("PYMT")
        symbol = name if mark is None else self._text(mark, offset)
        return Entry(name, symbol, bitcode, by_pymetal=mark is not None)

    def _index(self, offset: int) -> None:
        """Fill `_entries`: name -> (offset, size) of each kernel's entry."""
        data, end = self._data, len(self._data)
        if offset + 4 > end:
            raise self._error(f"ends inside its function count at byte {offset}")
        count = struct.unpack_from("<I", data, offset)[0]
        # Apple's section size leaves out the count; the sections after it bound the list anyway.
        position = offset + 4
        head = struct.Struct("<I4sH")
        entries = self._entries
        for i in range(count):
            if position + head.size > end:
                raise self._error(f"ends inside function {i + 1} of {count} (byte {position})")
            size, tag, length = head.unpack_from(data, position)
            if size < head.size + 4 or position + size > end:
                raise self._error(
                    f"says function {i + 1} of {count} is {size} bytes (byte {position}), "
                    f"which does not fit"
                )
            if tag != b"NAME" or head.size + length > size:
                raise self._error(f"has no name for function {i + 1} of {count} (byte {position})")
            start = position + head.size
            name = self._text(data[start : start + length], position)
            if name in entries:
                raise self._error(f"has two functions '{name}' (byte {position})")
            entries[name] = (position, size)
            position += size
        for name in [n for n in entries if not self._is_kernel(n)]:
            del entries[name]

    def _is_kernel(self, name: str) -> bool:
        offset, size = self._entries[name]
        # Apple writes TYPE straight after NAME; look there before reading every field.
        after = offset + 10 + struct.unpack_from("<H", self._data, offset + 8)[0]
        if after + 7 <= offset + size and self._data[after : after + 6] == b"TYPE\x01\x00":
            return bool(self._data[after + 6] == _KERNEL)
        return self._fields(name).get("TYPE") == bytes([_KERNEL])

    def _fields(self, name: str) -> dict[str, bytes]:
        offset, size = self._entries[name]
        end, position = offset + size, offset + 4
        fields: dict[str, bytes] = {}
        while position + 4 <= end:
            tag = self._data[position : position + 4]
            if tag == b"ENDT":
                return fields
            if position + 6 > end:
                break
            length = struct.unpack_from("<H", self._data, position + 4)[0]
            position += 6 + length
            if position > end:
                break
            fields[tag.decode("latin-1")] = self._data[position - length : position]
        raise self._error(f"has an entry without end for '{name}' (byte {offset})")

    def _field(self, fields: dict[str, bytes], tag: str, size: int, offset: int) -> bytes:
        if len(fields.get(tag, b"")) != size:
            raise self._error(f"has an entry without a {size}-byte {tag} (byte {offset})")
        return fields[tag]

    def _text(self, data: bytes, offset: int) -> str:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise self._error(f"has a name that is not UTF-8 (byte {offset})") from error
        text = text[:-1] if text.endswith("\0") else text
        if not text or "\0" in text:
            raise self._error(f"has an empty or broken name (byte {offset})")
        return text

    def _error(self, what: str) -> LibraryError:
        return LibraryError(f"{self.label}: {what}", library=self.label)


def write_metallib(
    entries: Sequence[Entry],
    *,
    air_version: tuple[int, int] = (2, 6),
    language_version: tuple[int, int] = (3, 1),
) -> bytes:
    """A `.metallib` of `entries`, marked as PyMetal's. Equal modules are written once."""
    modules: dict[bytes, int] = {}
    bitcode = bytearray()
    functions = bytearray(struct.pack("<I", len(entries)))
    names = [entry.name for entry in entries]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise LibraryError(f"cannot write two functions named '{twice}'")
    for entry in entries:
        if entry.bitcode not in modules:
            modules[entry.bitcode] = len(bitcode)
            bitcode += entry.bitcode + bytes(-len(entry.bitcode) % 16)
        functions += _entry_bytes(entry, modules[entry.bitcode], air_version, language_version)
    extra = _field_bytes("UUID", uuid.uuid5(uuid.NAMESPACE_OID, _digest(bitcode)).bytes) + b"ENDT"
    sections = (functions, _EMPTY_METADATA, _EMPTY_METADATA, bytes(bitcode))
    offset, places = _HEADER.size, []
    for i, section in enumerate(sections):
        places += [offset, len(section) - (4 if i == 0 else 0)]
        offset += len(section) + (len(extra) if i == 0 else 0)
    # 0x8001 and 0x81: macOS, as Apple's tools write for version 14.0.
    header = _HEADER.pack(b"MTLB", 0x8001, 2, 7, 0, 0x81, 14, 0, offset, *places)
    return b"".join([header, functions, extra, *sections[1:]])


def _entry_bytes(
    entry: Entry, offset: int, air_version: tuple[int, int], language_version: tuple[int, int]
) -> bytes:
    fields = b"".join(
        [
            _field_bytes("NAME", entry.name.encode() + b"\0"),
            _field_bytes("TYPE", bytes([_KERNEL])),
            _field_bytes("HASH", hashlib.sha256(entry.bitcode).digest()),
            _field_bytes("OFFT", struct.pack("<3Q", 0, 0, offset)),
            _field_bytes("VERS", struct.pack("<4H", *air_version, *language_version)),
            _field_bytes("MDSZ", struct.pack("<Q", len(entry.bitcode))),
            _field_bytes("PYMT", entry.symbol.encode() + b"\0"),
            b"ENDT",
        ]
    )
    return struct.pack("<I", len(fields) + 4) + fields


def _field_bytes(tag: str, data: bytes) -> bytes:
    if len(data) > 0xFFFF:
        raise LibraryError(f"a {tag} of {len(data)} bytes is too long for a .metallib")
    return tag.encode() + struct.pack("<H", len(data)) + data


def _digest(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()

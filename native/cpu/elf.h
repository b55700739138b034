// The parts of the ELF-64 format that code.cpp reads (System V ABI; psABIs of x86-64 and aarch64).
// Written out because macOS has no <elf.h>.
#pragma once

#include <cstdint>

namespace pymetal::cpu::elf {

struct Header {
    unsigned char identification[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, program_headers, section_headers;
    uint32_t flags;
    uint16_t header_bytes, program_header_bytes, program_header_count;
    uint16_t section_header_bytes, section_header_count, section_names;
};

struct Section {
    uint32_t name, type;
    uint64_t flags, address, offset, bytes;
    uint32_t link, info;
    uint64_t alignment, entry_bytes;
};

struct Symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, bytes;
};

struct Relocation { // with addend
    uint64_t offset;
    uint32_t type, symbol;
    int64_t addend;
};

inline constexpr uint16_t kRelocatable = 1;
inline constexpr uint16_t kMachineX86_64 = 62, kMachineAarch64 = 183;
inline constexpr uint32_t kSymbolTable = 2, kRelocations = 4, kNoBits = 8;
inline constexpr uint64_t kWritable = 1, kAllocated = 2, kExecutable = 4;
inline constexpr uint16_t kUndefined = 0, kAbsolute = 0xfff1, kReserved = 0xff00;

enum X86Relocation : uint32_t {
    kX64 = 1,
    kPc32 = 2,
    kPlt32 = 4,
    kGotPcRel = 9,
    kPc64 = 24,
    kGotPcRelX = 41,
    kRexGotPcRelX = 42,
};

enum ArmRelocation : uint32_t {
    kAbs64 = 257,
    kPrel64 = 260,
    kPrel32 = 261,
    kLdPrelLo19 = 273,
    kAdrPrelLo21 = 274,
    kAdrPrelPgHi21 = 275,
    kAddAbsLo12 = 277,
    kLdst8Lo12 = 278,
    kJump26 = 282,
    kCall26 = 283,
    kLdst16Lo12 = 284,
    kLdst32Lo12 = 285,
    kLdst64Lo12 = 286,
    kLdst128Lo12 = 299,
    kAdrGotPage = 311,
    kLd64GotLo12 = 312,
};

} // namespace pymetal::cpu::elf

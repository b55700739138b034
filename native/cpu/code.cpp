#include "code.h"

#include "elf.h"
#include "symbols.h"

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace pymetal::cpu {

namespace {

[[noreturn]] void refuse(const std::string& why) {
    throw std::invalid_argument("object code: " + why);
}

size_t align(size_t value, size_t alignment) {
    return (value + alignment - 1) / alignment * alignment;
}

// An object in memory, every access checked.
class Object {
  public:
    explicit Object(std::string_view bytes) : bytes_(bytes), header_(read<elf::Header>(0)) {
        if (bytes.substr(0, 6) != std::string_view("\x7f"
                                                   "ELF\2\1",
                                                   6) ||
            header_.type != elf::kRelocatable)
            refuse("not a 64-bit little-endian relocatable ELF file");
#if defined(__x86_64__)
        constexpr uint16_t kMachine = elf::kMachineX86_64;
#else
        constexpr uint16_t kMachine = elf::kMachineAarch64;
#endif
        if (header_.machine != kMachine)
            refuse("compiled for another processor");
        sections_ = table<elf::Section>(header_.section_headers, header_.section_header_count);
        if (header_.section_names >= sections_.size())
            refuse("damaged section names");
        for (const elf::Section& section : sections_)
            if (section.type == elf::kSymbolTable) {
                symbols_ = table<elf::Symbol>(section.offset, section.bytes / sizeof(elf::Symbol));
                symbol_names_ = &at(section.link);
            }
    }

    const std::vector<elf::Section>& sections() const { return sections_; }
    const std::vector<elf::Symbol>& symbols() const { return symbols_; }

    const elf::Section& at(uint32_t index) const {
        if (index >= sections_.size())
            refuse("damaged section index");
        return sections_[index];
    }
    std::string_view name(const elf::Section& section) const {
        return text(sections_[header_.section_names], section.name);
    }
    std::string_view name(const elf::Symbol& symbol) const {
        return text(*symbol_names_, symbol.name);
    }
    std::string_view contents(const elf::Section& section) const {
        if (section.offset > bytes_.size() || section.bytes > bytes_.size() - section.offset)
            refuse("truncated section");
        return bytes_.substr(section.offset, section.bytes);
    }
    std::vector<elf::Relocation> relocations(const elf::Section& section) const {
        return table<elf::Relocation>(section.offset, section.bytes / sizeof(elf::Relocation));
    }

  private:
    template <typename T>
    T read(uint64_t offset) const {
        if (bytes_.size() < sizeof(T) || offset > bytes_.size() - sizeof(T))
            refuse("truncated");
        T value;
        std::memcpy(&value, bytes_.data() + offset, sizeof value);
        return value;
    }
    template <typename T>
    std::vector<T> table(uint64_t offset, uint64_t count) const {
        if (offset > bytes_.size() || count > (bytes_.size() - offset) / sizeof(T))
            refuse("truncated table");
        std::vector<T> values(count);
        if (count != 0)
            std::memcpy(values.data(), bytes_.data() + offset, count * sizeof(T));
        return values;
    }
    std::string_view text(const elf::Section& strings, uint32_t offset) const {
        const std::string_view all = contents(strings);
        const size_t end = all.find('\0', offset);
        if (offset >= all.size() || end == std::string_view::npos)
            refuse("damaged string");
        return all.substr(offset, end - offset);
    }

    std::string_view bytes_;
    elf::Header header_;
    std::vector<elf::Section> sections_;
    std::vector<elf::Symbol> symbols_;
    const elf::Section* symbol_names_ = nullptr;
};

// Where a relocation points: the symbol itself, the table slot that holds its address, and what a
// near call reaches (a stub for what may be anywhere in the address space).
struct Target {
    uint64_t address, slot, near;
};

template <typename T>
void store(char* place, T value) {
    std::memcpy(place, &value, sizeof value);
}

#if defined(__x86_64__)

size_t patched_bytes(uint32_t type) {
    return type == elf::kX64 || type == elf::kPc64 ? 8 : 4;
}

constexpr size_t kStubBytes = 8;

// jmp *slot(%rip)
void write_stub(char* stub, uint64_t slot) {
    stub[0] = '\xff';
    stub[1] = '\x25';
    store(stub + 2, static_cast<int32_t>(slot - (reinterpret_cast<uint64_t>(stub) + 6)));
}

void relocate(char* place, const elf::Relocation& relocation, const Target& target) {
    const auto here = reinterpret_cast<uint64_t>(place);
    const auto addend = static_cast<uint64_t>(relocation.addend);
    const auto near32 = [&](uint64_t to) {
        const auto distance = static_cast<int64_t>(to + addend - here);
        if (distance != static_cast<int32_t>(distance))
            refuse("a jump too far");
        store(place, static_cast<int32_t>(distance));
    };
    switch (relocation.type) {
    case elf::kX64:
        return store(place, target.address + addend);
    case elf::kPc64:
        return store(place, target.address + addend - here);
    case elf::kPc32:
    case elf::kPlt32:
        return near32(target.near);
    case elf::kGotPcRel:
    case elf::kGotPcRelX:
    case elf::kRexGotPcRelX:
        return near32(target.slot);
    default:
        refuse("relocation type " + std::to_string(relocation.type));
    }
}

#else

size_t patched_bytes(uint32_t type) {
    return type == elf::kAbs64 || type == elf::kPrel64 ? 8 : 4;
}

constexpr size_t kStubBytes = 12;

void patch(char* place, uint32_t mask, uint32_t bits) {
    uint32_t instruction;
    std::memcpy(&instruction, place, sizeof instruction);
    store(place, (instruction & ~mask) | (bits & mask));
}

// The 21-bit immediate of adr and adrp: its low two bits sit apart.
void patch_address(char* place, int64_t immediate) {
    if (immediate < -(1 << 20) || immediate >= 1 << 20)
        refuse("an address too far");
    const auto bits = static_cast<uint32_t>(immediate);
    patch(place, 0x60ffffe0, (bits & 3) << 29 | (bits >> 2 & 0x7ffff) << 5);
}

void patch_page(char* place, uint64_t to) {
    const auto here = reinterpret_cast<uint64_t>(place);
    patch_address(place, static_cast<int64_t>((to >> 12) - (here >> 12)));
}

// The 12-bit offset into a page, in units of the access.
void patch_offset(char* place, uint64_t to, unsigned shift) {
    patch(place, 0x3ffc00, static_cast<uint32_t>((to & 0xfff) >> shift) << 10);
}

// adrp x16, slot; ldr x16, [x16, :lo12:slot]; br x16
void write_stub(char* stub, uint64_t slot) {
    store(stub, uint32_t{0x90000010});
    store(stub + 4, uint32_t{0xf9400210});
    store(stub + 8, uint32_t{0xd61f0200});
    patch_page(stub, slot);
    patch_offset(stub + 4, slot, 3);
}

void relocate(char* place, const elf::Relocation& relocation, const Target& target) {
    const auto here = reinterpret_cast<uint64_t>(place);
    const auto addend = static_cast<uint64_t>(relocation.addend);
    const uint64_t to = target.address + addend;
    switch (relocation.type) {
    case elf::kAbs64:
        return store(place, to);
    case elf::kPrel64:
        return store(place, to - here);
    case elf::kPrel32: {
        const auto distance = static_cast<int64_t>(to - here);
        if (distance != static_cast<int32_t>(distance))
            refuse("an address too far");
        return store(place, static_cast<int32_t>(distance));
    }
    case elf::kLdPrelLo19: {
        const auto distance = static_cast<int64_t>(to - here);
        if (distance < -(1 << 20) || distance >= 1 << 20)
            refuse("an address too far");
        return patch(place, 0xffffe0, static_cast<uint32_t>(distance >> 2) << 5);
    }
    case elf::kAdrPrelLo21:
        return patch_address(place, static_cast<int64_t>(to - here));
    case elf::kAdrPrelPgHi21:
        return patch_page(place, to);
    case elf::kAddAbsLo12:
    case elf::kLdst8Lo12:
        return patch_offset(place, to, 0);
    case elf::kLdst16Lo12:
        return patch_offset(place, to, 1);
    case elf::kLdst32Lo12:
        return patch_offset(place, to, 2);
    case elf::kLdst64Lo12:
        return patch_offset(place, to, 3);
    case elf::kLdst128Lo12:
        return patch_offset(place, to, 4);
    case elf::kJump26:
    case elf::kCall26: {
        const auto distance = static_cast<int64_t>(target.near + addend - here);
        if (distance < -(1 << 27) || distance >= 1 << 27)
            refuse("a jump too far");
        return patch(place, 0x3ffffff, static_cast<uint32_t>(distance >> 2));
    }
    case elf::kAdrGotPage:
        return patch_page(place, target.slot);
    case elf::kLd64GotLo12:
        return patch_offset(place, target.slot, 3);
    default:
        refuse("relocation type " + std::to_string(relocation.type));
    }
}

#endif

// One third of the mapping: pages of one protection.
struct Segment {
    size_t offset = 0, bytes = 0;
};
enum { kText, kConstants, kData };

int segment_of(const elf::Section& section) {
    return (section.flags & elf::kExecutable) != 0 ? kText
           : (section.flags & elf::kWritable) != 0 ? kData
                                                   : kConstants;
}

bool is_loaded(const Object& object, const elf::Section& section) {
    // Unwind tables serve exceptions, which never cross compiled code.
    return (section.flags & elf::kAllocated) != 0 && section.bytes != 0 &&
           !object.name(section).starts_with(".eh_frame");
}

} // namespace

Code::Code(std::string_view bytes) {
    const Object object(bytes);
    const auto& sections = object.sections();
    const auto& symbols = object.symbols();
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));

    // Lay out: code and stubs, constants and the address of each symbol, writable data.
    Segment segments[3];
    std::vector<size_t> offsets(sections.size()); // within the segment
    const auto append = [](Segment& segment, size_t size, size_t alignment) {
        const size_t offset = align(segment.bytes, alignment);
        segment.bytes = offset + size;
        return offset;
    };
    for (size_t i = 0; i < sections.size(); ++i) {
        if (!is_loaded(object, sections[i]))
            continue;
        const size_t alignment = sections[i].alignment == 0 ? 1 : sections[i].alignment;
        if (alignment > page || sections[i].bytes > size_t{1} << 30)
            refuse("a section too large");
        offsets[i] = append(segments[segment_of(sections[i])], sections[i].bytes, alignment);
    }
    const size_t stubs = append(segments[kText], symbols.size() * kStubBytes, 16);
    const size_t slots = append(segments[kConstants], symbols.size() * 8, 16);
    size_t total = 0;
    for (Segment& segment : segments) {
        segment.offset = total;
        total += align(segment.bytes, page);
    }

    void* memory = mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    const auto unmap = [total](void* p) { munmap(p, total); };
    std::unique_ptr<void, decltype(unmap)> owner(memory, unmap);
    auto* base = static_cast<char*>(memory);
    const auto place_of = [&](size_t i) {
        return base + segments[segment_of(sections[i])].offset + offsets[i];
    };
    for (size_t i = 0; i < sections.size(); ++i)
        if (is_loaded(object, sections[i]) && sections[i].type != elf::kNoBits)
            std::memcpy(place_of(i), object.contents(sections[i]).data(), sections[i].bytes);

    // Resolve symbols; every one gets a slot, those from outside a stub.
    std::vector<Target> targets(symbols.size());
    std::string missing;
    for (size_t i = 1; i < symbols.size(); ++i) {
        const elf::Symbol& symbol = symbols[i];
        Target& target = targets[i];
        char* slot = base + segments[kConstants].offset + slots + i * 8;
        target.slot = reinterpret_cast<uint64_t>(slot);
        if (symbol.section == elf::kUndefined) {
            void* found = SymbolTable::instance().find(object.name(symbol));
            if (found == nullptr) {
                missing += (missing.empty() ? "" : ", ") + std::string(object.name(symbol));
                continue;
            }
            char* stub = base + stubs + i * kStubBytes;
            target.address = reinterpret_cast<uint64_t>(found);
            target.near = reinterpret_cast<uint64_t>(stub);
            write_stub(stub, target.slot);
        } else if (symbol.section == elf::kAbsolute) {
            target.address = target.near = symbol.value;
        } else if (symbol.section < elf::kReserved) {
            const elf::Section& section = object.at(symbol.section);
            if (!is_loaded(object, section) || symbol.value > section.bytes)
                continue;
            char* place = place_of(symbol.section) + symbol.value;
            target.address = target.near = reinterpret_cast<uint64_t>(place);
            defined_.emplace(object.name(symbol), place);
        }
        store(slot, target.address);
    }
    if (!missing.empty())
        refuse("undefined symbols: " + missing);

    for (const elf::Section& section : sections) {
        if (section.type != elf::kRelocations || !is_loaded(object, object.at(section.info)))
            continue;
        const elf::Section& patched = object.at(section.info);
        for (const elf::Relocation& relocation : object.relocations(section)) {
            if (relocation.offset > patched.bytes ||
                patched.bytes - relocation.offset < patched_bytes(relocation.type) ||
                relocation.symbol >= symbols.size())
                refuse("damaged relocation");
            relocate(place_of(section.info) + relocation.offset, relocation,
                     targets[relocation.symbol]);
        }
    }

    const int protections[3] = {PROT_READ | PROT_EXEC, PROT_READ, PROT_READ | PROT_WRITE};
    for (int i = 0; i < 3; ++i)
        if (segments[i].bytes != 0 && mprotect(base + segments[i].offset,
                                               align(segments[i].bytes, page), protections[i]) != 0)
            throw std::bad_alloc();
    __builtin___clear_cache(base, base + segments[kText].bytes);
    memory_ = owner.release();
    bytes_ = total;
}

Code::~Code() {
    munmap(memory_, bytes_);
}

void* Code::address(std::string_view name) const {
    const auto found = defined_.find(std::string(name));
    if (found == defined_.end())
        refuse("no symbol " + std::string(name));
    return found->second;
}

} // namespace pymetal::cpu

// Native code of a kernel in memory: an ELF object file (what LLVM emits, what the cache keeps),
// laid out, linked against the symbol table and made executable.
//
// A loader of our own, so that a cached kernel runs without LLVM being loaded, memory is freed when
// the last user lets go, and a missing symbol is an error with a name. Objects are ELF on every
// host, macOS too: nothing but this file reads them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pymetal::cpu {

class Code {
  public:
    // Throws std::invalid_argument for an object that is damaged or needs what the loader lacks
    // (undefined symbols are named), std::bad_alloc.
    explicit Code(std::string_view object);
    ~Code();
    Code(const Code&) = delete;
    Code& operator=(const Code&) = delete;

    // The address of a function that the object defines; throws std::invalid_argument.
    void* address(std::string_view name) const;

  private:
    void* memory_ = nullptr;
    size_t bytes_ = 0;
    std::unordered_map<std::string, void*> defined_;
};

} // namespace pymetal::cpu

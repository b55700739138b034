// Everything that compiled kernels may call, by name. What is not here cannot be linked.
#pragma once

#include <string_view>
#include <unordered_map>

namespace pymetal::cpu {

class SymbolTable {
  public:
    static const SymbolTable& instance();

    // nullptr if there is no such symbol.
    void* find(std::string_view name) const;
    const std::unordered_map<std::string_view, void*>& all() const { return addresses_; }

    template <typename Result, typename... Parameters>
    void add(const char* name, Result (*function)(Parameters...)) {
        addresses_.emplace(name, reinterpret_cast<void*>(function));
    }

  private:
    std::unordered_map<std::string_view, void*> addresses_;
};

void add_check_symbols(SymbolTable& table);       // checks.cpp
void add_half_symbols(SymbolTable& table);        // half.cpp
void add_mathematics_symbols(SymbolTable& table); // mathematics.cpp
void add_turns_symbols(SymbolTable& table);       // turns.cpp

} // namespace pymetal::cpu

#include "symbols.h"

#include "context.h"
#include "log.h"

#include <cstring>

namespace pymetal::cpu {

const SymbolTable& SymbolTable::instance() {
    static const SymbolTable table = [] {
        SymbolTable t;
        t.add("pymetal_thread", pymetal_thread);
        t.add("pymetal_barrier", pymetal_barrier);
        t.add("pymetal_simd", pymetal_simd);
        // What LLVM makes of copying and clearing structs and arrays.
        t.add("memcpy", +[](void* to, const void* from, size_t n) { return memcpy(to, from, n); });
        t.add(
            "memmove", +[](void* to, const void* from, size_t n) { return memmove(to, from, n); });
        t.add("memset", +[](void* to, int value, size_t n) { return memset(to, value, n); });
        add_check_symbols(t);
        add_half_symbols(t);
        add_log_symbols(t);
        add_mathematics_symbols(t);
        add_turns_symbols(t);
        return t;
    }();
    return table;
}

void* SymbolTable::find(std::string_view name) const {
    const auto found = addresses_.find(name);
    return found == addresses_.end() ? nullptr : found->second;
}

} // namespace pymetal::cpu

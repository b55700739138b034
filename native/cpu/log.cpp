#include "log.h"

#include "faults.h"
#include "symbols.h"
#include "threadgroup.h"

#include <cstring>
#include <utility>

namespace pymetal::cpu {

void Log::add(LogRecord record) {
    const std::lock_guard lock(mutex_);
    if (records_.size() == kMaxRecords)
        ++dropped_;
    else
        records_.push_back(std::move(record));
}

namespace {

std::string text(const char* from) {
    return from == nullptr ? std::string() : std::string(from, strnlen(from, Log::kMaxText));
}

void log(const char* subsystem, const char* category, uint32_t type, const char* format,
         const uint64_t* words, uint64_t count) {
    const Uninterrupted allocating;
    Threadgroup& threadgroup = Threadgroup::current();
    if (threadgroup.log() == nullptr)
        return;
    const uint32_t* at = threadgroup.thread().thread_position_in_grid;
    const uint64_t kept = count < Log::kMaxWords ? count : Log::kMaxWords;
    threadgroup.log()->add(LogRecord{type,
                                     text(subsystem),
                                     text(category),
                                     text(format),
                                     std::vector<uint64_t>(words, words + kept),
                                     {at[0], at[1], at[2]}});
}

} // namespace

void add_log_symbols(SymbolTable& table) {
    table.add("pymetal_log", log);
}

} // namespace pymetal::cpu

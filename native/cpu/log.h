// What kernels log during one launch: kept here in order, bounded, and handed to Python after it.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace pymetal::cpu {

// One call of os_log. `words` are the arguments: for each a head (kind, lanes << 8), then a word a
// lane; pymetal/msl/include/pymetal_logging.h writes them, pymetal/logs.py reads them.
struct LogRecord {
    uint32_t type; // metal::log_type
    std::string subsystem, category, format;
    std::vector<uint64_t> words;
    std::array<uint32_t, 3> thread_position_in_grid;
};

// Records beyond the bound are counted only. Threads of every worker write.
class Log {
  public:
    static constexpr size_t kMaxRecords = 4096, kMaxWords = 256, kMaxText = 1024;

    void add(LogRecord record);
    bool empty() const { return records_.empty(); }
    std::vector<LogRecord>& records() { return records_; }
    uint64_t dropped() const { return dropped_; }

  private:
    std::mutex mutex_;
    std::vector<LogRecord> records_;
    uint64_t dropped_ = 0;
};

class SymbolTable;
void add_log_symbols(SymbolTable& table);

} // namespace pymetal::cpu

// What kernels log with os_log, kept until Python takes it. macOS 15 and later.
#include "metal/device.h"

namespace pymetal::metal {

namespace {

constexpr long first_macos = 15;
constexpr NS::Integer buffer_bytes = 1 << 20; // what does not fit is dropped by Metal
constexpr size_t most_messages = 100000;

} // namespace

void MetalDevice::enable_logging() {
    std::lock_guard lock(logging_mutex_);
    if (logging_)
        return;
    if (!os_at_least(first_macos))
        throw Failure("unsupported", "kernels can log from macOS 15 on; this is macOS " +
                                         std::to_string(info_.os_version[0]));
    auto description = owned(MTL::LogStateDescriptor::alloc()->init());
    description->setLevel(MTL::LogLevelDebug);
    description->setBufferSize(buffer_bytes);
    NS::Error* error = nullptr;
    log_state_ = owned(device_->newLogState(description.get(), &error));
    if (!log_state_)
        throw failure("log", error, "Metal made no log for kernels");
    // The handler runs on a thread of Metal's, where an exception would end the process.
    auto shared = shared_;
    log_state_->addLogHandler(
        ^(NS::String* subsystem, NS::String* category, MTL::LogLevel level, NS::String* text) {
          try {
              std::lock_guard guard(shared->log_mutex);
              if (shared->log.size() < most_messages)
                  shared->log.push_back(
                      {level, std_string(subsystem), std_string(category), std_string(text)});
          } catch (const std::bad_alloc&) { // a lost message is better than a lost process
          }
        });
    logging_ = owned(MTL::CommandBufferDescriptor::alloc()->init());
    logging_->setLogState(log_state_.get());
}

std::vector<LogMessage> MetalDevice::take_log() {
    std::lock_guard lock(shared_->log_mutex);
    return std::exchange(shared_->log, {});
}

} // namespace pymetal::metal

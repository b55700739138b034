// Several launches in one command buffer, as a queue gives them: each sees what those before it
// wrote, because an encoder's dispatches run in order.
//
// Launches share buffers: one copy of an array goes to the GPU, and one comes back. A launch whose
// arrays overlap those of an earlier one without being the same waits for another command buffer;
// so does one that would make it long, since the GPU's watchdog watches command buffers.
#include "metal/device.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace pymetal::metal {

namespace {

constexpr double longest_seconds = 0.5; // as far as each kernel's last run can tell
// How long command buffers follow each other before the caller hears of those that are done.
constexpr std::chrono::milliseconds tell_after{20};

// The memory that the launches of one command buffer use.
class Ranges {
  public:
    explicit Ranges(BufferPool& pool) : pool_(pool) {}
    ~Ranges() {
        for (auto& range : ranges_)
            pool_.release(range.buffer);
    }
    Ranges(const Ranges&) = delete;
    Ranges& operator=(const Ranges&) = delete;

    // False, with nothing added, where the launch has to wait for those before it.
    bool add(const Launch& launch) {
        for (auto& slot : launch.buffers)
            if (is_in_part_written(slot))
                return false;
        for (auto& slot : launch.buffers)
            if (auto* same = find(slot)) {
                same->slot.is_written |= slot.is_written;
                same->slot.size_bytes = std::max(same->slot.size_bytes, slot.size_bytes);
            } else if (!fits_set_bytes(slot)) {
                ranges_.push_back({slot, pool_.extent_bytes(slot), {}});
            }
        return true;
    }

    void acquire() {
        for (auto& range : ranges_)
            range.buffer = pool_.acquire(range.slot);
    }

    // What was given for the slot; nil: setBytes.
    Buffer buffer(const BufferSlot& slot) {
        auto* range = find(slot);
        return range ? range->buffer : Buffer{};
    }

    void copy_back() const {
        for (auto& [slot, extent, buffer] : ranges_)
            if (slot.is_written && buffer.copy)
                std::memcpy(slot.memory, buffer.copy, slot.size_bytes);
    }

  private:
    struct Range {
        BufferSlot slot; // of all launches together
        size_t extent_bytes;
        Buffer buffer;
    };

    Range* find(const BufferSlot& slot) {
        for (auto& range : ranges_)
            if (range.slot.memory == slot.memory &&
                (range.slot.size_bytes == slot.size_bytes ||
                 range.extent_bytes == pool_.extent_bytes(slot)))
                return &range;
        return nullptr;
    }

    // Whether the slot overlaps another range than its own, and one of the two is written.
    bool is_in_part_written(const BufferSlot& slot) {
        auto* same = find(slot);
        auto* begin = static_cast<const char*>(slot.memory);
        for (auto& range : ranges_) {
            auto* start = static_cast<const char*>(range.slot.memory);
            if (&range != same && (slot.is_written || range.slot.is_written) &&
                begin < start + range.slot.size_bytes && start < begin + slot.size_bytes)
                return true;
        }
        return false;
    }

    BufferPool& pool_;
    std::vector<Range> ranges_;
};

} // namespace

StepsResult MetalDevice::launch_all(std::span<const Step> steps) {
    StepsResult result;
    result.seconds.reserve(steps.size());
    const auto end = std::chrono::steady_clock::now() + tell_after;
    try {
        while (result.seconds.size() < steps.size() &&
               (result.seconds.empty() || std::chrono::steady_clock::now() < end))
            launch_some(steps.subspan(result.seconds.size()), result);
    } catch (const Failure& failure) {
        result.failure = failure;
    }
    return result;
}

// As many of the steps as one command buffer takes, at least one.
void MetalDevice::launch_some(std::span<const Step> steps, StepsResult& result) {
    AutoreleasePool pool;
    Ranges ranges(buffers_);
    size_t count = 0;
    double expected_seconds = 0;
    bool logs = false;
    const auto pipeline = [&steps](size_t i) -> MetalPipeline& {
        return *static_cast<MetalPipeline*>(steps[i].pipeline);
    };
    for (; count < steps.size(); ++count) {
        auto& next = pipeline(count);
        expected_seconds += next.gpu_seconds();
        if (count == 0)
            next.check(steps[count].launch);
        else if (expected_seconds > longest_seconds || !next.passes(steps[count].launch))
            break;
        if (!ranges.add(steps[count].launch))
            break;
        logs |= next.logs();
    }
    try {
        ranges.acquire();
        MTL::CommandBuffer* command_buffer;
        {
            std::lock_guard lock(encoding_);
            command_buffer = logs ? queue_->commandBuffer(logging_descriptor())
                                  : queue_->commandBufferWithUnretainedReferences();
            if (!command_buffer)
                throw Failure("device", "Metal made no command buffer");
            {
                Encoding encoding(command_buffer);
                std::array<Buffer, buffer_indices> buffers;
                for (size_t i = 0; i < count; ++i) {
                    auto& slots = steps[i].launch.buffers;
                    for (size_t j = 0; j < slots.size(); ++j)
                        buffers[j] = ranges.buffer(slots[j]);
                    pipeline(i).encode(encoding, steps[i].launch, {buffers.data(), slots.size()});
                }
            }
            command_buffer->commit();
        }
        command_buffer->waitUntilCompleted();
        auto time = result_of(command_buffer);
        ranges.copy_back();
        auto each = (time.end_seconds - time.start_seconds) / static_cast<double>(count);
        for (size_t i = 0; i < count; ++i) {
            pipeline(i).set_gpu_seconds(each);
            result.seconds.push_back(each);
        }
    } catch (Failure& failure) {
        failure.launches = count;
        throw;
    }
}

} // namespace pymetal::metal

// Faults that tests inject: what a real Metal does on a bad day.
#pragma once
#include <optional>
#include <string>

namespace metal_double {

struct Fault {
    long code;
    std::string text;
};

// The fault of this name if one is armed; counts it off. The names, each with what it does:
//   "no device"            MTLCreateSystemDefaultDevice returns nil; so does MTLCopyAllDevices
//   "no default device"    only the former does
//   "no queue" "no buffer" "no command buffer" "no encoder"   nil from the method that makes it
//   "compile"              newLibrary fails with `code` and `text`
//   "pipeline"             newComputePipelineState fails with `code` and `text`
//   "command buffer"       the command buffer ends in status error with `code` and `text`
//   "never completes"      the command buffer stays committed
//   "capture"              startCapture fails with `code` and `text`
//   "log"                  the next kernel logs `text` at level `code`
//   "max buffer length"    the device allows `code` bytes
//   "max threads"          pipelines allow `code` threads per threadgroup
//   "uniform only"         the GPU lacks non-uniform threadgroups
//   "gpu time"             a dispatch takes `code` microseconds of the GPU's time, else one
//   "paravirtual"          a virtual machine's GPU: buffers without a copy have no length
//   "no pages"             newBufferWithBytesNoCopy returns nil
//   "old SDK"              macOS 26 calls itself 16, as for programs made before it
//   "late log"             with "log": its message comes after the command buffer is done
std::optional<Fault> take_fault(const char* name);

} // namespace metal_double

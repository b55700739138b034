// What the double asks of the engine behind it, in C++; engine.cpp speaks control.h.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "control.h"

namespace metal_double {

struct ConstantInfo {
    std::string name;
    unsigned long index = 0;
    unsigned long type = 0; // MTLDataType
    bool required = true;
};

struct FunctionInfo {
    std::string name;
    std::vector<ConstantInfo> constants;
};

struct MemberInfo {
    unsigned long depth = 0;
    std::string name;
    unsigned long type = 0;
    unsigned long offset = 0;
    unsigned long array_length = 0;
    unsigned long stride = 0;
};

struct BindingInfo {
    long kind = 0; // MTLBindingType
    unsigned long index = 0;
    std::string name;
    unsigned long access = 0; // MTLBindingAccess
    unsigned long type = 0;
    unsigned long size = 0;
    unsigned long alignment = 0;
    std::vector<MemberInfo> members;
};

struct PipelineInfo {
    unsigned long max_threads = 1024;
    unsigned long static_memory = 0;
    std::vector<BindingInfo> bindings;
};

// A handle of the engine's, dropped with its last owner.
class EngineHandle {
  public:
    explicit EngineHandle(long value) : value_(value) {}
    ~EngineHandle();
    EngineHandle(const EngineHandle&) = delete;
    long value() const { return value_; }

  private:
    long value_;
};

struct EngineFailure {
    long code;
    std::string text;
};

struct EngineLibrary {
    std::shared_ptr<EngineHandle> handle;
    std::vector<FunctionInfo> functions;
};
struct EnginePipeline {
    std::shared_ptr<EngineHandle> handle;
    PipelineInfo info;
};

// Each throws EngineFailure.
EngineLibrary engine_library(const std::string& data, bool is_metallib, const std::string& options);
EnginePipeline engine_pipeline(long library, const std::string& function,
                               const std::string& constants);
void engine_launch(long pipeline, const metal_double_launch& launch);

// MTLDataType of an MSL type name; 0 for what it has no number for.
unsigned long data_type_of(const std::string& type_name);

} // namespace metal_double

// Reflection: what Metal says of a pipeline's arguments.
#include "metal/device.h"

namespace pymetal::metal {

namespace {

const char* access_of(MTL::BindingAccess access) {
    switch (access) {
    case MTL::BindingAccessReadOnly:
        return "read";
    case MTL::BindingAccessWriteOnly:
        return "write";
    default:
        return "read_write";
    }
}

const char* kind_of(MTL::BindingType type) {
    switch (type) {
    case MTL::BindingTypeBuffer:
        return "buffer";
    case MTL::BindingTypeThreadgroupMemory:
        return "threadgroup";
    case MTL::BindingTypeTexture:
        return "texture";
    case MTL::BindingTypeSampler:
        return "sampler";
    default:
        return "other";
    }
}

std::vector<MemberInfo> members_of(const MTL::StructType* structure) {
    std::vector<MemberInfo> members;
    auto* array = structure ? structure->members() : nullptr;
    for (NS::UInteger i = 0; array && i < array->count(); ++i) {
        auto* member = array->object<MTL::StructMember>(i);
        MemberInfo info{std_string(member->name()), "", member->offset(), 0, {}};
        auto type = member->dataType();
        if (type == MTL::DataTypeArray) {
            auto* elements = member->arrayType();
            info.array_length = elements->arrayLength();
            info.type_name = type_name(elements->elementType());
            info.members = members_of(elements->elementStructType());
        } else if (type == MTL::DataTypeStruct) {
            info.members = members_of(member->structType());
        } else {
            info.type_name = type_name(type);
        }
        members.push_back(std::move(info));
    }
    return members;
}

void describe_buffer(BindingInfo& info, const MTL::BufferBinding* buffer) {
    auto type = buffer->bufferDataType();
    auto* structure = buffer->bufferStructType();
    info.size_bytes = buffer->bufferDataSize();
    info.align_bytes = buffer->bufferAlignment();
    // Where Metal calls the argument a pointer, its element is what we mean.
    if (auto* pointer = buffer->bufferPointerType(); pointer && type == MTL::DataTypePointer) {
        type = pointer->elementType();
        structure = pointer->elementStructType();
        info.size_bytes = pointer->dataSize();
        info.align_bytes = pointer->alignment();
    }
    info.type_name = type_name(type);
    info.members = members_of(structure);
}

} // namespace

std::vector<BindingInfo> bindings_of(const MTL::ComputePipelineReflection* reflection) {
    std::vector<BindingInfo> result;
    auto* bindings = reflection ? reflection->bindings() : nullptr;
    for (NS::UInteger i = 0; bindings && i < bindings->count(); ++i) {
        auto* binding = bindings->object<MTL::Binding>(i);
        BindingInfo info;
        info.kind = kind_of(binding->type());
        info.name = std_string(binding->name());
        info.index = binding->index();
        info.access = access_of(binding->access());
        if (binding->type() == MTL::BindingTypeBuffer) {
            describe_buffer(info, static_cast<const MTL::BufferBinding*>(binding));
        } else if (binding->type() == MTL::BindingTypeThreadgroupMemory) {
            auto* memory = static_cast<const MTL::ThreadgroupBinding*>(binding);
            info.size_bytes = memory->threadgroupMemoryDataSize();
            info.align_bytes = memory->threadgroupMemoryAlignment();
        }
        result.push_back(std::move(info));
    }
    return result;
}

} // namespace pymetal::metal

// MTLComputePipelineState and its reflection.
#include "faults.hpp"
#include "objects.hpp"

namespace metal_double {

namespace {

constexpr auto pipeline_domain = "AGXMetalDomain";
constexpr UInteger type_struct = 1, type_array = 2;
constexpr UInteger option_binding_info = 1, option_buffer_type_info = 2;

struct StructType : Object {
    static inline objc_class* klass;
    Ref<Array> members;
};
struct ArrayType : Object {
    static inline objc_class* klass;
    MemberInfo info;
    Ref<StructType> element;
};
struct Member : Object {
    static inline objc_class* klass;
    MemberInfo info;
    Ref<StructType> structure;
    Ref<ArrayType> array;
};
struct Binding : Object {
    static inline objc_class* klass;
    BindingInfo info;
    bool has_types = false;
    Ref<StructType> structure;
};
struct Reflection : Object {
    static inline objc_class* klass;
    Ref<Array> bindings;
};

// Members come flattened, each followed by its own members one level deeper.
StructType* new_struct(const std::vector<MemberInfo>& members, size_t& next, UInteger depth) {
    std::vector<Object*> items;
    while (next < members.size() && members[next].depth == depth) {
        auto* member = make<Member>();
        member->info = members[next++];
        Ref<StructType> inner;
        if (next < members.size() && members[next].depth > depth)
            inner = Ref<StructType>::adopt(new_struct(members, next, depth + 1));
        if (member->info.array_length) {
            member->array = Ref<ArrayType>::adopt(make<ArrayType>());
            member->array->info = member->info;
            member->array->element = inner;
        } else {
            member->structure = inner;
        }
        items.push_back(member);
    }
    auto* result = make<StructType>();
    result->members = Ref<Array>::adopt(new_array(items));
    return result;
}

// Apple promises no order, so the last comes first here.
Reflection* new_reflection(const PipelineInfo& info, bool with_types) {
    std::vector<Object*> bindings;
    for (auto from = info.bindings.rbegin(); from != info.bindings.rend(); ++from) {
        auto* binding = make<Binding>();
        binding->info = *from;
        binding->has_types = with_types;
        size_t next = 0;
        if (!from->members.empty())
            binding->structure = Ref<StructType>::adopt(new_struct(from->members, next, 0));
        bindings.push_back(binding);
    }
    auto* reflection = make<Reflection>();
    reflection->bindings = Ref<Array>::adopt(new_array(bindings));
    return reflection;
}

const BindingInfo& buffer_of(Binding* binding, const char* selector) {
    if (binding->info.kind != 0)
        misuse("[MTLBinding %s]: not a buffer", selector);
    if (!binding->has_types)
        misuse("[MTLBinding %s]: reflection was made without buffer types", selector);
    return binding->info;
}

UInteger type_of_member(const MemberInfo& info, bool is_struct) {
    return info.array_length ? type_array : is_struct ? type_struct : info.type;
}

void define_types() {
    Class<StructType>("MTLStructType")
        .on("members", [](StructType* type) { return type->members.get(); })
        .on("dataType", [](StructType*) { return type_struct; });
    Class<ArrayType>("MTLArrayType")
        .on("arrayLength", [](ArrayType* type) { return type->info.array_length; })
        .on("stride", [](ArrayType* type) { return type->info.stride; })
        .on("elementType",
            [](ArrayType* type) { return type->element ? type_struct : type->info.type; })
        .on("elementStructType", [](ArrayType* type) { return type->element.get(); })
        .on("dataType", [](ArrayType*) { return type_array; });
    Class<Member>("MTLStructMember")
        .on("name", [](Member* member) { return autoreleased(new_string(member->info.name)); })
        .on("offset", [](Member* member) { return member->info.offset; })
        .on("dataType",
            [](Member* member) {
                return type_of_member(member->info, static_cast<bool>(member->structure));
            })
        .on("structType", [](Member* member) { return member->structure.get(); })
        .on("arrayType", [](Member* member) { return member->array.get(); });
}

void define_bindings() {
    Class<Binding>("MTLBinding")
        .on("name", [](Binding* binding) { return autoreleased(new_string(binding->info.name)); })
        .on("type", [](Binding* binding) { return binding->info.kind; })
        .on("index", [](Binding* binding) { return binding->info.index; })
        .on("access", [](Binding* binding) { return binding->info.access; })
        .on("isUsed", [](Binding*) { return true; })
        .on("isArgument", [](Binding*) { return true; })
        .on("bufferDataType",
            [](Binding* binding) {
                auto& info = buffer_of(binding, "bufferDataType");
                return binding->structure ? type_struct : info.type;
            })
        .on("bufferDataSize",
            [](Binding* binding) { return buffer_of(binding, "bufferDataSize").size; })
        .on("bufferAlignment",
            [](Binding* binding) { return buffer_of(binding, "bufferAlignment").alignment; })
        .on("bufferStructType",
            [](Binding* binding) {
                buffer_of(binding, "bufferStructType");
                return binding->structure.get();
            })
        .on("bufferPointerType",
            [](Binding* binding) -> Object* {
                buffer_of(binding, "bufferPointerType");
                return nullptr;
            })
        .on("threadgroupMemoryDataSize", [](Binding* binding) { return binding->info.size; })
        .on("threadgroupMemoryAlignment", [](Binding* binding) { return binding->info.alignment; });
    Class<Reflection>("MTLComputePipelineReflection").on("bindings", [](Reflection* reflection) {
        return reflection->bindings.get();
    });
}

} // namespace

Object* new_pipeline(Device*, Object* function_object, UInteger options, Object** reflection,
                     Object** error) {
    auto* function = expect<Function>(function_object, "newComputePipelineState: function");
    if (auto fault = take_fault("pipeline")) {
        set_error(error, pipeline_domain, fault->code, fault->text);
        return nullptr;
    }
    for (auto& constant : function->info->constants)
        if (constant.required && !function->is_specialized)
            misuse("newComputePipelineState: function '%s' needs its function constants",
                   function->info->name.c_str());
    try {
        auto pipeline = Ref<Pipeline>::adopt(make<Pipeline>());
        pipeline->engine = engine_pipeline(function->library->engine.handle->value(),
                                           function->info->name, function->constants);
        auto& info = pipeline->engine.info;
        if (auto fault = take_fault("max threads"))
            info.max_threads = static_cast<UInteger>(fault->code);
        if (reflection && options & option_binding_info)
            *reflection = autorelease(new_reflection(info, options & option_buffer_type_info));
        return retain(pipeline.get());
    } catch (const EngineFailure& failure) {
        set_error(error, pipeline_domain, failure.code, failure.text);
        return nullptr;
    }
}

void define_pipelines() {
    define_types();
    define_bindings();
    Class<Pipeline>("MTLComputePipelineState")
        .on("maxTotalThreadsPerThreadgroup",
            [](Pipeline* pipeline) { return pipeline->engine.info.max_threads; })
        .on("threadExecutionWidth", [](Pipeline*) -> UInteger { return 32; })
        .on("staticThreadgroupMemoryLength",
            [](Pipeline* pipeline) { return pipeline->engine.info.static_memory; });
}

} // namespace metal_double

// MTLDataType by MSL name, pointers as "pointer". Metal numbers a scalar and its vectors of 2, 3
// and 4 one after another.
#include "metal/objects.h"

namespace pymetal::metal {

namespace {

struct Family {
    const char* name;
    MTL::DataType scalar;
    MTL::DataType matrix2x2; // DataTypeNone: no matrices
};

constexpr Family families[] = {
    {"float", MTL::DataTypeFloat, MTL::DataTypeFloat2x2},
    {"half", MTL::DataTypeHalf, MTL::DataTypeHalf2x2},
    {"bfloat", MTL::DataTypeBFloat, MTL::DataTypeNone},
    {"int", MTL::DataTypeInt, MTL::DataTypeNone},
    {"uint", MTL::DataTypeUInt, MTL::DataTypeNone},
    {"short", MTL::DataTypeShort, MTL::DataTypeNone},
    {"ushort", MTL::DataTypeUShort, MTL::DataTypeNone},
    {"char", MTL::DataTypeChar, MTL::DataTypeNone},
    {"uchar", MTL::DataTypeUChar, MTL::DataTypeNone},
    {"bool", MTL::DataTypeBool, MTL::DataTypeNone},
    {"long", MTL::DataTypeLong, MTL::DataTypeNone},
    {"ulong", MTL::DataTypeULong, MTL::DataTypeNone},
};

constexpr NS::UInteger matrices = 9; // 2x2 2x3 2x4 3x2 … 4x4, columns first

} // namespace

std::string type_name(MTL::DataType type) {
    if (type == MTL::DataTypePointer)
        return "pointer";
    for (auto& family : families) {
        if (type == family.scalar)
            return family.name;
        if (type > family.scalar && type <= family.scalar + 3)
            return family.name + std::to_string(type - family.scalar + 1);
        auto first = family.matrix2x2;
        if (first != MTL::DataTypeNone && type >= first && type < first + matrices)
            return family.name + std::to_string((type - first) / 3 + 2) + "x" +
                   std::to_string((type - first) % 3 + 2);
    }
    return "";
}

MTL::DataType data_type(const std::string& name) {
    for (auto& family : families) {
        for (NS::UInteger more = 0; more < 4; ++more)
            if (type_name(static_cast<MTL::DataType>(family.scalar + more)) == name)
                return static_cast<MTL::DataType>(family.scalar + more);
    }
    return MTL::DataTypeNone;
}

} // namespace pymetal::metal

// An engine without Python: one kernel, "add_one", over float* out [[buffer(0)]] and
// constant uint& n [[buffer(1)]].
#pragma once
#include "../control.h"

#include <cstring>

inline metal_double_engine small_engine() {
    return {
        [](const void*, size_t, int, const char*, void* reply) -> long {
            constexpr auto lines = "function\tadd_one";
            metal_double_reply(reply, lines, std::strlen(lines));
            return 1;
        },
        [](long, const char*, const char*, void* reply) -> long {
            constexpr auto lines = "limits\t256\t0\n"
                                   "buffer\t0\tout\t1\tfloat\t4\t4\n"
                                   "buffer\t1\tn\t0\tuint\t4\t4\n";
            metal_double_reply(reply, lines, std::strlen(lines));
            return 2;
        },
        [](long, const metal_double_launch* launch, void*) -> long {
            auto* out = static_cast<float*>(launch->buffers[0].memory);
            for (size_t i = 0; i < launch->grid[0]; ++i)
                out[i] += 1;
            return 0;
        },
        [](long) {},
    };
}

// Types of Metal that this device lacks. Including their headers is fine; naming one is an error
// that names the feature: its row in docs/language.md.
#pragma once
#pragma clang system_header
#include "pymetal_language.h"

#define PYMETAL_UNSUPPORTED(feature)                                                               \
    __attribute__((unavailable("unsupported Metal feature: " feature)))

namespace metal {

// ---- textures ---------------------------------------------------------------------------------

enum class access { sample, read, write, read_write };
#define PYMETAL_TEXTURE(name)                                                                      \
    template <class T, access a = access::sample, class... Rest>                                   \
    struct PYMETAL_UNSUPPORTED("textures") name {};
PYMETAL_TEXTURE(texture1d)
PYMETAL_TEXTURE(texture1d_array)
PYMETAL_TEXTURE(texture2d)
PYMETAL_TEXTURE(texture2d_array)
PYMETAL_TEXTURE(texture3d)
PYMETAL_TEXTURE(texturecube)
PYMETAL_TEXTURE(texturecube_array)
PYMETAL_TEXTURE(texture2d_ms)
PYMETAL_TEXTURE(texture2d_ms_array)
PYMETAL_TEXTURE(texture_buffer)
PYMETAL_TEXTURE(depth2d)
PYMETAL_TEXTURE(depth2d_array)
PYMETAL_TEXTURE(depthcube)
PYMETAL_TEXTURE(depthcube_array)
PYMETAL_TEXTURE(depth2d_ms)
PYMETAL_TEXTURE(depth2d_ms_array)
#undef PYMETAL_TEXTURE
struct PYMETAL_UNSUPPORTED("textures") sampler {};

// ---- ray tracing ------------------------------------------------------------------------------

namespace raytracing {
// Tags: arguments of the templates below.
struct triangle_data;
struct curve_data;
struct instancing;
struct world_space_data;
struct primitive_motion;
struct instance_motion;
struct extended_limits;
struct PYMETAL_UNSUPPORTED("ray tracing") ray {};
struct PYMETAL_UNSUPPORTED("ray tracing") instance_acceleration_structure {};
struct PYMETAL_UNSUPPORTED("ray tracing") primitive_acceleration_structure {};
template <class... Tags>
struct PYMETAL_UNSUPPORTED("ray tracing") acceleration_structure {};
template <class... Tags>
struct PYMETAL_UNSUPPORTED("ray tracing") intersector {};
template <class... Tags>
struct PYMETAL_UNSUPPORTED("ray tracing") intersection_result {};
template <class... Tags>
struct PYMETAL_UNSUPPORTED("ray tracing") intersection_query {};
template <class... Tags>
struct PYMETAL_UNSUPPORTED("ray tracing") intersection_function_table {};
} // namespace raytracing

// ---- function tables, rendering, tensors ------------------------------------------------------

template <class... T>
struct PYMETAL_UNSUPPORTED("visible function tables") visible_function_table {};
struct PYMETAL_UNSUPPORTED("indirect command buffers") command_buffer {};
struct PYMETAL_UNSUPPORTED("indirect command buffers") compute_command {};
struct PYMETAL_UNSUPPORTED("indirect command buffers") render_command {};
template <class T, class... Rest>
struct PYMETAL_UNSUPPORTED("imageblocks") imageblock {};
template <class T, class... Rest>
struct PYMETAL_UNSUPPORTED("rendering") patch_control_point {};
template <class T, class... Rest>
struct PYMETAL_UNSUPPORTED("rendering") interpolant {};
template <class... T>
struct PYMETAL_UNSUPPORTED("rendering") mesh {};
PYMETAL_UNSUPPORTED("rendering") void discard_fragment();
PYMETAL_UNSUPPORTED("rendering") bool simd_is_helper_thread();
PYMETAL_UNSUPPORTED("rendering") bool quad_is_helper_thread();
template <class T>
PYMETAL_UNSUPPORTED("rendering")
T dfdx(T);
template <class T>
PYMETAL_UNSUPPORTED("rendering")
T dfdy(T);
template <class T>
PYMETAL_UNSUPPORTED("rendering")
T fwidth(T);
#if __cplusplus < 202002L // else pymetal_tensor.h has it
template <class... T>
struct PYMETAL_UNSUPPORTED("tensors") tensor {};
#endif

} // namespace metal

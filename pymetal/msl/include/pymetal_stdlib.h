// The whole library, <metal_stdlib>: what the front end precompiles.
#pragma once
#pragma clang system_header
#include "pymetal_array.h"
#include "pymetal_atomic.h"
#include "pymetal_common.h"
#include "pymetal_compute.h"
#include "pymetal_config.h"
#include "pymetal_geometric.h"
#include "pymetal_integer.h"
#include "pymetal_internals.h"
#include "pymetal_language.h"
#include "pymetal_limits.h"
#include "pymetal_logging.h"
#include "pymetal_math.h"
#include "pymetal_matmul2d.h"
#include "pymetal_matrix.h"
#include "pymetal_pack.h"
#include "pymetal_quadgroup.h"
#include "pymetal_relational.h"
#include "pymetal_simd.h"
#include "pymetal_simdgroup.h"
#include "pymetal_simdgroup_matrix.h"
#include "pymetal_tensor.h"
#include "pymetal_type_traits.h"
#include "pymetal_uniform.h"
#include "pymetal_unsupported.h"

#define assert(condition) ((void)0) // <assert.h>: Metal has no abort

// Stands in for Apple's header of this name. library.cpp of the double provides the functions.
#pragma once
#include <stddef.h>

typedef struct dispatch_queue_s* dispatch_queue_t;
typedef struct dispatch_data_s* dispatch_data_t;
typedef void (^dispatch_block_t)(void);
#define DISPATCH_DATA_DESTRUCTOR_DEFAULT ((dispatch_block_t)0)

#ifdef __cplusplus
extern "C" {
#endif
dispatch_data_t dispatch_data_create(const void* bytes, size_t size, dispatch_queue_t,
                                     dispatch_block_t);
void dispatch_release(dispatch_data_t);
#ifdef __cplusplus
}
#endif

// Stands in for Apple's header of this name: the Objective-C runtime that runtime.cpp provides.
#pragma once
#include <TargetConditionals.h>

struct objc_class;
struct objc_object {
    struct objc_class* isa;
};
typedef struct objc_class* Class;
typedef struct objc_object* id;
typedef struct objc_selector* SEL;
typedef struct objc_object Protocol;

#ifdef __cplusplus
extern "C" {
#endif
Class objc_lookUpClass(const char*);
Protocol* objc_getProtocol(const char*);
SEL sel_registerName(const char*);
#ifdef __cplusplus
}
#endif

// Autorelease pools: one stack a thread, as NSAutoreleasePool and as the runtime's push and pop.
#include <cstdio>

#include "runtime.hpp"

namespace metal_double {

namespace {

struct Pool : Object {
    static inline objc_class* klass;
    std::vector<Object*> objects;
    Pool* outer = nullptr;
};

thread_local Pool* innermost = nullptr;

// Releasing may autorelease more, so the list is walked by index.
void empty(Pool* pool) {
    if (innermost != pool)
        misuse("autorelease pool drained out of order or on another thread");
    for (size_t i = 0; i < pool->objects.size(); ++i)
        release(pool->objects[i]);
    innermost = pool->outer;
}

void drain(Pool* pool) {
    empty(pool);
    release(pool);
}

// The runtime's own pools are kept for reuse: a warm launch allocates nothing.
thread_local std::vector<Pool*> spare_pools;

} // namespace

Object* autorelease(Object* object) {
    if (!object)
        return nullptr;
    if (!is_alive(object))
        misuse("[%s autorelease] sent to deallocated object #%u", object->isa->name,
               object->serial);
    if (object->isa->is_meta)
        return object;
    if (!innermost)
        misuse("%s #%u autoreleased with no pool in place", object->isa->name, object->serial);
    innermost->objects.push_back(object);
    return object;
}

void define_pools() {
    Class<Pool>("NSAutoreleasePool")
        .concrete()
        .on("init",
            [](Pool* pool) {
                pool->outer = innermost;
                return innermost = pool;
            })
        .on("drain", [](Pool* pool) { drain(pool); })
        .on("release", [](Pool* pool) { drain(pool); })
        .on("retain", [](Pool*) -> Object* { misuse("an autorelease pool cannot be retained"); })
        .on("autorelease",
            [](Pool*) -> Object* { misuse("an autorelease pool cannot be autoreleased"); })
        .on("addObject:", [](Pool* pool, Object* object) { pool->objects.push_back(object); });
}

extern "C" void* objc_autoreleasePoolPush() {
    Pool* pool;
    if (spare_pools.empty()) {
        pool = new Pool;
        pool->isa = Pool::klass;
    } else {
        pool = spare_pools.back();
        spare_pools.pop_back();
    }
    pool->outer = innermost;
    return innermost = pool;
}

extern "C" void objc_autoreleasePoolPop(void* token) {
    auto* pool = static_cast<Pool*>(token);
    empty(pool);
    pool->objects.clear();
    spare_pools.push_back(pool);
}

SystemPool::SystemPool() : token_(objc_autoreleasePoolPush()) {}
SystemPool::~SystemPool() {
    objc_autoreleasePoolPop(token_);
}

} // namespace metal_double

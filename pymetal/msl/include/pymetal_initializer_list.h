// initializer_list<T>, what clang makes of {a, b, c} where a function takes one.
#pragma once
#pragma clang system_header
#include "pymetal_types.h"

namespace std {
template <class T>
class initializer_list {
    const T* first_; // clang fills these two
    size_t size_;

  public:
    typedef T value_type;
    typedef const T& reference;
    typedef const T& const_reference;
    typedef size_t size_type;
    typedef const T* iterator;
    typedef const T* const_iterator;

    constexpr initializer_list() : first_(nullptr), size_(0) {}
    constexpr size_t size() const { return size_; }
    constexpr const T* begin() const { return first_; }
    constexpr const T* end() const { return first_ + size_; }
};
} // namespace std
namespace metal {
using std::initializer_list;
}

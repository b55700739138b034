// Tensors of Metal 4: <metal_tensor>. Metal Shading Language Specification, sections 2.21 and 6.22.
// Here: inline tensors over pointers; a tensor_handle, which the host binds, is refused.
// Needs C++20 (class types as template arguments): the front end asks for it where it is included.
#pragma once
#pragma clang system_header
#include "pymetal_array.h"
#include "pymetal_language.h"
#if __cplusplus >= 202002L

namespace metal {

inline constexpr ulong dynamic_extent = ulong(-1);
template <class T>
inline constexpr T dynamic_length_v = T(-1);

struct tensor_handle {};
struct tensor_offset {};
struct tensor_inline {};

template <class Index, ulong... extent_>
struct extents {
    typedef Index index_type;
    static constexpr METAL_FUNC int rank() { return sizeof...(extent_); }
    constexpr extents() : value{(extent_ == dynamic_extent ? Index(0) : Index(extent_))...} {}
    // All extents, or the dynamic ones.
    template <class... A>
        requires(sizeof...(A) > 0)
    constexpr extents(A... given) : extents() {
        const Index values[] = {Index(given)...};
        constexpr ulong fixed[] = {extent_...};
        int next = 0;
        for (int i = 0; i < rank(); ++i)
            if (sizeof...(A) == sizeof...(extent_) || fixed[i] == dynamic_extent)
                value[i] = values[next++];
    }
    constexpr METAL_FUNC Index extent(int i) const { return value[i]; }

    Index value[sizeof...(extent_)];
};

} // namespace metal

namespace pymetal {
template <class Index, int rank, ulong... so_far>
struct dynamic_extents : dynamic_extents<Index, rank - 1, so_far..., metal::dynamic_extent> {};
template <class Index, ulong... all>
struct dynamic_extents<Index, 0, all...> {
    typedef metal::extents<Index, all...> type;
};
} // namespace pymetal

namespace metal {

template <class Index, int rank>
using dextents = typename pymetal::dynamic_extents<Index, rank>::type;

// Dimension 0 is the innermost. Slices share the memory; what leaves it is not read or written by
// matrix operations.
template <class Element, class Extents, class Kind = tensor_inline, class... Rest>
struct tensor {
    typedef Element element_type;
    typedef __remove_cv(Element) value_type;
    typedef Extents extents_type;
    typedef typename Extents::index_type index_type;
    static_assert(pymetal::same<Kind, tensor_inline>,
                  "unsupported Metal feature: tensors bound by the host");

    constexpr tensor() = default;
    METAL_FUNC tensor(Element* data, Extents shape) : data_(data), extents_(shape) {
        long stride = 1;
        for (int i = 0; i < get_rank(); ++i) {
            strides_[i] = stride;
            stride *= shape.value[i];
        }
    }
    template <class S>
    METAL_FUNC tensor(Element* data, Extents shape, const S& strides)
        : data_(data), extents_(shape) {
        for (int i = 0; i < get_rank(); ++i)
            strides_[i] = strides[i];
    }

    static constexpr METAL_FUNC int get_rank() { return Extents::rank(); }
    METAL_FUNC Extents extents() const { return extents_; }
    METAL_FUNC index_type get_extent(int i) const { return extents_.value[i]; }
    METAL_FUNC long get_stride(int i) const { return strides_[i]; }
    METAL_FUNC Element* data() const { return data_; }
    METAL_FUNC Element* data_handle() const { return data_; }

    template <class... I>
    METAL_FUNC Element& operator()(I... index) const {
        return data_[offset(index...)];
    }
    template <class... I>
    METAL_FUNC Element& operator[](I... index) const {
        return data_[offset(index...)];
    }

    // The rest of every dimension from an offset on.
    template <class... I>
    METAL_FUNC auto slice(I... from) const {
        return part<dextents<index_type, sizeof...(I)>>(from...);
    }
    // The same with sizes: dynamic_extent for the rest.
    template <ulong... size, class... I>
        requires(sizeof...(size) > 0)
    METAL_FUNC auto slice(I... from) const {
        auto result = part<dextents<index_type, sizeof...(I)>>(from...);
        constexpr ulong sizes[] = {size...};
        for (int i = 0; i < int(sizeof...(size)); ++i)
            if (sizes[i] != dynamic_extent)
                result.extents_.value[i] = index_type(sizes[i]);
        return result;
    }

    template <ulong... size, class... I>
    METAL_FUNC auto static_slice(I... from) const {
        return slice<size...>(from...);
    }

    Element* data_;
    Extents extents_;
    long strides_[Extents::rank()];

  private:
    template <class... I>
    METAL_FUNC long offset(I... index) const {
        if constexpr (sizeof...(I) == 1 && get_rank() > 1) {
            long at = 0;
            ((at = sum(index)), ...);
            return at;
        } else {
            static_assert(sizeof...(I) == get_rank(), "one index for every dimension");
            long at = 0;
            int i = 0;
            ((at += long(index) * strides_[i++]), ...);
            return at;
        }
    }
    template <class A>
    METAL_FUNC long sum(const A& index) const {
        long at = 0;
        for (int i = 0; i < get_rank(); ++i)
            at += long(index[i]) * strides_[i];
        return at;
    }
    template <class Shape, class... I>
    METAL_FUNC tensor<Element, Shape, Kind> part(I... from) const {
        static_assert(sizeof...(I) == get_rank(), "one offset for every dimension");
        tensor<Element, Shape, Kind> result;
        result.data_ = data_ + offset(from...);
        const long first[] = {long(from)...};
        for (int i = 0; i < get_rank(); ++i) {
            result.extents_.value[i] = index_type(extents_.value[i] - first[i]);
            result.strides_[i] = strides_[i];
        }
        return result;
    }
};
template <class T, class E>
tensor(T*, E) -> tensor<T, E, tensor_inline>;
template <class T, class E, class S>
tensor(T*, E, S) -> tensor<T, E, tensor_inline>;

// ---- who executes -----------------------------------------------------------------------------

template <int count>
struct execution_simdgroups {
    static constexpr int simdgroups = count;
};
using execution_simdgroup = execution_simdgroups<1>;
template <int count>
struct execution_threads {
    static_assert(count == 1, "unsupported Metal feature: tensor operations of several threads");
    static constexpr int simdgroups = 0;
};
using execution_thread = execution_threads<1>;

} // namespace metal

#endif

"""The token rewriter: what it changes, what it must leave alone, and that lines stay in place."""

from __future__ import annotations

import pytest
from front_end import compile_text, compiles
from hypothesis import given
from hypothesis import strategies as st

from pymetal.msl.rewrite import rewrite
from pymetal.msl.tokens import Tokens


def rewritten(text: str) -> str:
    """The rewritten text with runs of spaces as one."""
    return " ".join(rewrite(text).text.text.split())


@given(st.text(alphabet="ab1.0<>()[]{}+-*/&|=;,: \n\t\"'#@é", max_size=60))
def test_any_text_is_taken_apart_and_put_together_again(text):
    assert Tokens(text).render().text == text
    rewrite(text)  # whatever it is, clang will say so


@given(st.lists(st.sampled_from(["kernel", "void", "f", "(", ")", "{", "}", "[[", "]]", "<", ">",
                                 "template", "struct", "threadgroup", "float4", "=", ";", ",",
                                 "(float4)", "vec", "static_cast", "operator", "auto", "host_name",
                                 "buffer", "function_constant", "device", "*", "1.0", "\n"]),
                max_size=40))  # fmt: skip
def test_broken_source_never_breaks_the_rewriter_nor_moves_a_line(words):
    text = " ".join(words)
    assert rewrite(text).text.text.count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1.0;", "x = 1.0f;"),
        ("x = 1.;", "x = 1.f;"),
        ("x = .5e-3;", "x = .5e-3f;"),
        ("x = 1e3;", "x = 1e3f;"),
        ("x = 0x1.8p3;", "x = 0x1.8p3f;"),
        ("x = 2.0f + 0x1e + 10 + 7u;", "x = 2.0f + 0x1e + 10 + 7u;"),
        ("x = 1.5h;", "x = half(1.5f);"),
        ("x = 1.5bf;", "x = bfloat(1.5f);"),
        ("s.x1 = v.e1;", "s.x1 = v.e1;"),
    ],
)
def test_literals_get_metals_types(source, expected):
    assert rewritten(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "float4 f(float4 a, float b);",
        "float4 (*pointer)(int);",
        "float4 v;",
        "struct A { operator float4() const; };",
        "int n = (a) + b;",
        "int n = sizeof(float4);",
        "float n = f(a) - b;",
        "for (int i = 0; i < n; i++) {}",
        "using F = float4 (*)(int);",
        "if (a < b && c > d) {}",
        "float x = (float)y;",
        "v = a < b ? c : d;",
    ],
)
def test_what_is_no_constructor_or_cast_stays(source):
    assert rewritten(source) == source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("v = float4(a, b);", "v = pymetal::make<float4>(a, b);"),
        ("v = metal::float4(a, b);", "v = pymetal::make<float4>(a, b);"),
        ("v = vec<float, 4>(a, b);", "v = pymetal::make<vec < float , 4 >> (a, b);"),
        ("float4 v(a, b);", "float4 v = pymetal::make<float4>(a, b);"),
        ("v = (int4)a.xyzw + b;", "v = pymetal::cast_to<int4>{}->*a.xyzw + b;"),
        ("v = -(int4)-a;", "v = -pymetal::cast_to<int4>{}->*-a;"),
        ("v = static_cast<int4>(a);", "v = pymetal::convert<int4>(a);"),
        ("p = static_cast<int4*>(a);", "p = static_cast<int4*>(a);"),
        ("typedef float4 V; V v = V(a, b);", "typedef float4 V; V v = pymetal::make<V>(a, b);"),
        ("v = float4(a < b);", "v = pymetal::make<float4>(pymetal::mask(a < b));"),
        ("auto m = a == b;", "auto m = pymetal::mask(a == b);"),
        ("f({a, b}, c);", "f(pymetal::list(a, b), c);"),
    ],
)
def test_constructors_and_casts_of_vectors_go_through_the_maker(source, expected):
    assert rewritten(source) == expected


def test_overloads_on_address_spaces_become_one_function():
    text = """
    template <typename T> struct cell {
        T value;
        cell(T v) : value(v) {}
        T get() const thread { return value; }
        T get() const device { return value; }
        T get() const threadgroup { return value; }
        bool operator<(const device cell& o) const device { return value < o.value; }
        bool operator<(const thread cell& o) const thread { return value < o.value; }
        T operator()(thread T* p) const { return *p; }
        T operator()(device T* p) const { return *p; }
    };
    template <typename T> T load(device const T* p) { return p[0]; }
    template <typename T> T load(constant T* p) { return p[0]; }
    template <typename T> T load(threadgroup const T* p) { return p[0]; }
    template <typename T> void put(device T* p) { p[0] = 1; }
    template <typename T> struct kind { enum { value = 0 }; };
    template <typename T> struct kind<device T*> { enum { value = 1 }; };
    template <typename T> struct kind<threadgroup T*> { enum { value = 1 }; };
    kernel void k(device float* out, constant float* in, threadgroup float* t) {
        cell<float> c(load(in));
        out[0] = c.get() + load(t) + load((device const float*)out) + kind<device float*>::value;
        put(out);
    }
    """
    assert compile_text(text).names == ("k",)


def test_overloads_that_differ_otherwise_all_stay():
    text = """
    float f(device float* p) { return 1; }
    float f(device const float* p) { return 2; }
    float f(device int* p) { return 3; }
    float f(device float* p, int) { return 4; }
    static_assert(sizeof(decltype(f((float*)0, 1))) == 4, "");
    kernel void k(device float* a, device const float* b, device int* c) {
        a[0] = f(a) + f(b) + f(c) + f(a, 1);
    }
    """
    assert compile_text(text).names == ("k",)


def test_a_real_redefinition_is_still_one():
    assert not compiles("float f(float x) { return 1; }\nfloat f(float x) { return 2; }")


@pytest.mark.parametrize(
    "declaration",
    [
        "threadgroup float x[32]; x[0] = 1;",
        "threadgroup float4 x[4][4], y; y = x[0][0];",
        "alignas(16) threadgroup half x[8]; x[0] = 1;",
        "threadgroup atomic_int x; atomic_store_explicit(&x, 1, memory_order_relaxed);",
        "threadgroup float x[2]; threadgroup float* q = x; threadgroup float& r = q[0]; r = 1;",
        "if (p) { threadgroup vec<float, 2> x[2]; x[0] = 1; }",
        "threadgroup struct { int a, b; } x; x.a = 1;",
    ],
)
def test_threadgroup_declarations_compile(declaration):
    assert compiles(f"kernel void k(device float* p) {{ {declaration} }}")


def test_only_variables_in_threadgroup_memory_become_static():
    text = rewritten("void f() { threadgroup float* p; threadgroup float x[4]; }")
    assert text == (
        'void f() { float* p; static __attribute__((section("air.threadgroup"))) float x[4]; }'
    )


def test_attributes_of_any_kind_go():
    text = (
        "struct A { float4 p [[id(3)]]; }; [[maybe_unused]] constant int n [[user(x)]] = a[b[1]];"
    )
    assert rewritten(text) == "struct A { float4 p ; }; const int n = a[b[1]];"


def test_parse_ambiguities_are_settled_as_the_language_settles_them():
    assert compiles(
        """
        template <int N> struct box { static constexpr constant int value = N; float4 v; };
        template <typename T, bool B = (sizeof(T) > 2) && (sizeof(T) < 9)> T pick(T a) { return a; }
        float two(bool a, bool b) { return a + b; }
        kernel void k(device float4* out, uint i [[thread_position_in_grid]]) {
            int a = i, b = 2, c = 3, d = 4;
            out[0] = two(a < b, c > d);
            out[1] = float4(box<3>::value, a < b, c > d, pick<float>(1.0));
            out[2] = (float4)(a < b) * (c > d ? 1.0 : 2.0);
            out[3] = float4(box<(3 > 2)>::value);
            out[i < 4 ? 1 : 0] = box<2>{float4(1)}.v;
        }
        """
    )


@pytest.mark.parametrize("type_", ["vec<float", "<", "array<device float*, 4", "a<b<c>", "< *"])
def test_brackets_that_nothing_closes_are_left_to_the_compiler(type_):
    assert not compiles(f"kernel void k(device {type_}* x [[buffer(0)]]) {{ x[0] = 1; }}")


def test_members_may_be_for_objects_in_threadgroup_memory():
    assert compiles("""
    template <typename T> struct indexed {
        uint i;
        T value;
        constexpr indexed<T>() threadgroup = default;
        T get() threadgroup const { return value; }
        void set(T to) threadgroup { value = to; }
    };
    kernel void k(device float* x [[buffer(0)]], uint i [[thread_index_in_threadgroup]]) {
        threadgroup indexed<float> all[32];
        all[i].set(x[i]);
        x[i] = all[i].get();
    }""")

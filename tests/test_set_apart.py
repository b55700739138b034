"""Files whose kernels stand beside shaders and kernels that the software device cannot run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metal_calls import only_on_the_software_device

import pymetal
from pymetal.check import check_paths
from pymetal.msl import check_source, compile_source, list_kernels
from pymetal.source import CompileOptions, Source

HEAD = "#include <metal_stdlib>\nusing namespace metal;\n"
FILE = (
    HEAD
    + """struct In { float3 p [[attribute(0)]]; };
struct Out { float4 p [[position]]; float2 uv [[user(locn0)]]; half4 c [[flat]]; };
constexpr sampler linear(coord::normalized, filter::linear);
using Image = texture2d<float, access::read>;
static float4 fetch(Image image, uint2 p) {
    #pragma unroll
    for (int i = 0; i < 2; i++) p.x += i;
    return image.read(p);
}
static float grey(float3 c) { return dot(c, float3(0.25f, 0.5f, 0.25f)); }
vertex Out at(In in [[stage_in]], uint i [[vertex_id]]) { return {float4(in.p, i), 0, 0}; }
fragment half4 colour(Out in [[stage_in]], texture2d<half> t [[texture(0)]]) {
    if (in.uv.x < dfdx(in.uv.y)) discard_fragment();
    return t.sample(linear, in.uv);
}
kernel void of_image(Image image [[texture(0)]], device float* out [[buffer(0)]],
                     uint2 i [[thread_position_in_grid]]) {
    out[i.x] = grey(fetch(image, i).rgb);
}
template <typename T>
kernel void fill(texture2d<T, access::write> to [[texture(0)]],
                 uint2 i [[thread_position_in_grid]]) {
    to.write(vec<T, 4>(0), i);
}
template [[host_name("fill_half")]] kernel void fill<half>(texture2d<half, access::write>, uint2);
kernel void of_buffer(device const packed_float3* colours [[buffer(0)]],
                      device float* out [[buffer(1)]], uint i [[thread_position_in_grid]]) {
    out[i] = grey(colours[i]);
}
"""
)


def test_kernels_run_beside_shaders_and_kernels_that_take_textures(device: Any) -> None:
    only_on_the_software_device(device)
    library = pymetal.compile(FILE, device=device)
    assert sorted(library) == ["fill_half", "of_buffer", "of_image"]
    colours = np.float32([[4, 4, 4], [0, 1, 0]])
    out = np.zeros(2, np.float32)
    library.kernel("of_buffer")(colours, out, grid=2)
    assert out.tolist() == [4, 0.5]


@pytest.mark.parametrize(
    ("name", "line"), [("of_image", "kernel void of_image("), ("fill_half", "template [[host_name")]
)
def test_asking_for_one_that_lacks_a_feature_names_it_and_its_line(
    device: Any, name: str, line: str
) -> None:
    only_on_the_software_device(device)
    library = pymetal.compile(FILE, device=device)
    with pytest.raises(pymetal.UnsupportedError) as caught:
        library.kernel(name)
    assert caught.value.feature == "textures"
    number = FILE[: FILE.index(line)].count("\n") + 1
    assert f":{number}:" in str(caught.value)


def test_a_check_of_many_kernels_accepts_and_refuses_each_as_one_alone(tmp_path: Path) -> None:
    wrong = "kernel void wrong(device float* x [[buffer(0)]]) { x[0] = missing<float>(x); }\n"
    scale = """template <int N> kernel void scale(device float* x [[buffer(0)]],
        uint i [[thread_position_in_grid]]) { static_assert(N != 20, ""); x[i] *= N; }
    """
    instances = [
        f'template [[host_name("scale{n}")]] kernel void scale<{n}>(device float*, uint);\n'
        for n in range(40)
    ]
    file = tmp_path / "many.metal"
    file.write_text(FILE + scale + "".join(instances))
    result = check_paths([file], "cpu")
    verdicts = {kernel.name: kernel for kernel in result.files[0].kernels}
    assert len(verdicts) == 43
    bad = {name for name, kernel in verdicts.items() if kernel.error}
    assert bad == {"of_image", "fill_half", "scale20"}
    assert "textures" in verdicts["of_image"].error
    file.write_text(scale + wrong + "".join(instances))
    assert not any(kernel.ok for kernel in check_paths([file], "cpu").files[0].kernels)


def test_errors_keep_their_lines_behind_what_was_set_apart() -> None:
    wrong = FILE.replace("out[i] = grey(colours[i]);", "out[i] = grey(missing);")
    with pytest.raises(pymetal.CompileError) as caught:
        compile_source(Source(wrong), CompileOptions(), ("of_buffer",))
    line = wrong[: wrong.index("missing")].count("\n") + 1
    assert [d.line for d in caught.value.diagnostics if d.severity == "error"] == [line]


def test_a_check_of_the_file_tells_of_kernels_but_not_of_shaders() -> None:
    shaders = (
        FILE[: FILE.index("kernel void of_image")] + FILE[FILE.index("kernel void of_buffer") :]
    )
    assert check_source(Source(shaders), CompileOptions()) == ()
    assert len(check_source(Source(FILE), CompileOptions())) == 2
    features = {"of_buffer": "", "of_image": "textures", "fill_half": "textures"}
    assert list_kernels(Source(FILE), CompileOptions()) == features


def test_names_of_the_source_that_only_look_like_features_are_kept() -> None:
    text = (
        HEAD
        + """struct ray { float3 sampler; float mesh; };
    static float vertex_weight(float object) { return object; }
    kernel void k(device ray* rays [[buffer(0)]], uint i [[thread_position_in_grid]]) {
        float sampler = rays[i].sampler.x;
        rays[i].mesh = vertex_weight(sampler);
    }"""
    )
    assert check_source(Source(text), CompileOptions()) == ()

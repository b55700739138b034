"""Numbers of what lanes do together, and where the lanes of a loop meet."""

from __future__ import annotations

import re

from canonical_module import make

from pymetal.air import ir
from pymetal.air.llvm_module import parse_assembly
from pymetal.air.sites import number_sites

SWITCH = """
declare i32 @air.simd_sum.u.i32(i32) convergent

define void @canon(i32 %lane, i32 %simdgroup, ptr %out) {
  br label %head

head:
  %i = phi i32 [ 9, %0 ], [ %next, %body ], [ %next, %body ], [ 5, %late ]
  %next = add i32 %i, -1
  %kind = urem i32 %next, 5
  br label %body

body:
  switch i32 %kind, label %late [
    i32 0, label %head
    i32 1, label %head
    i32 2, label %end
  ]

late:
  %sum = call i32 @air.simd_sum.u.i32(i32 %i)
  store i32 %sum, ptr %out
  %more = icmp sgt i32 %sum, 20
  br i1 %more, label %head, label %end

end:
  ret void
}
"""


def test_lanes_meet_on_the_edge_back_and_on_no_other_one() -> None:
    text, sites = number_sites(SWITCH)
    parse_assembly(text).verify()
    assert sites == 2
    meets = re.findall(
        r'(\S+):\n  call void @air.simdgroup.converge\(i32 0, i32 0\) "pymetal.site"="1"\n'
        r"  br label %head\n",
        text,
    )
    assert len(meets) == 2
    (phi,) = re.findall(r"%i = phi i32 (.*)", text)
    assert phi == f"[ 9, %0 ], [ %next, %{meets[0]} ], [ 5, %{meets[1]} ]"


def test_each_inlined_cross_lane_call_has_a_site_of_its_own() -> None:
    text = """
    define void @k(ptr %out, i32 %i) {
      %low = icmp ult i32 %i, 16
      br i1 %low, label %a, label %b
    a:
      %x = call float @total(float 1.0)
      br label %c
    b:
      %y = call float @total(float 2.0)
      br label %c
    c:
      %z = phi float [ %x, %a ], [ %y, %b ]
      store float %z, ptr %out
      ret void
    }
    define float @total(float %v) convergent {
      %s = call float @air.simd_sum.f32(float %v)
      ret float %s
    }
    declare float @air.simd_sum.f32(float) convergent"""
    result = make(text, "buffer", "thread_index_in_simdgroup")
    assert result.sites == 2
    assert result.intrinsics == ("air.simd_sum.f32",)
    read = ir.read(result.ir)
    sites = [
        read.attributes(i)[
            "pymetal.site" if "pymetal.site" in read.attributes(i) else '"pymetal.site"'
        ]
        for i in read.functions["canon"].instructions
        if i.callee == "air.simd_sum.f32"
    ]
    assert sorted(sites) == ["0", "1"]

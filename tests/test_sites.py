"""Numbers of what lanes do together, and where the lanes of a loop meet."""

from __future__ import annotations

import re

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

"""What instrumented code calls: the checker's functions, and fast paths that LLVM inlines."""

from __future__ import annotations

DECLARATIONS = """
declare ptr @pymetal_check(ptr, ptr, i32, i64) nounwind
declare ptr @pymetal_check_store(ptr, ptr, i32, i64, i64, i64) nounwind
declare ptr @pymetal_check_private(ptr, ptr, ptr, i32, i64) nounwind
declare i64 @pymetal_check_limit(i32) nounwind
declare i8 @pymetal_check_fill() nounwind
declare ptr @pymetal_check_matrix(ptr, ptr, i64, i64, i64, i32, i32, i32) nounwind
declare void @pymetal_check_fence(i32) nounwind
declare void @pymetal_check_not_finite(double, i32) nounwind
define internal ptr @pymetal_check_read(ptr %a, ptr %b, i64 %limit, i32 %site, i64 %bytes, \
i64 %mask) alwaysinline nounwind {
  %x = ptrtoint ptr %a to i64
  %y = ptrtoint ptr %b to i64
  %offset = sub i64 %x, %y
  %end = add i64 %offset, %bytes
  %starts = icmp ult i64 %offset, %limit
  %ends = icmp ule i64 %end, %limit
  %low = and i64 %offset, %mask
  %aligned = icmp eq i64 %low, 0
  %within = and i1 %starts, %ends
  %fine = and i1 %within, %aligned
  br i1 %fine, label %done, label %ask, !prof !0
ask:
  %other = call ptr @pymetal_check(ptr %a, ptr %b, i32 %site, i64 %bytes)
  br label %done
done:
  %result = phi ptr [ %a, %0 ], [ %other, %ask ]
  ret ptr %result
}
define internal void @pymetal_check_finite(double %r, double %a, double %b, double %c, \
i32 %site) alwaysinline nounwind {
  %rz = fsub double %r, %r
  %ok = fcmp ord double %rz, 0.0
  br i1 %ok, label %done, label %look, !prof !0
look:
  %az = fsub double %a, %a
  %bz = fsub double %b, %b
  %cz = fsub double %c, %c
  %ab = fadd double %az, %bz
  %abc = fadd double %ab, %cz
  %finite = fcmp ord double %abc, 0.0
  br i1 %finite, label %tell, label %done
tell:
  call void @pymetal_check_not_finite(double %r, i32 %site)
  br label %done
done:
  ret void
}
!0 = !{!"branch_weights", i32 100000, i32 1}
"""

#!/usr/bin/env bash
# A first run on a Mac: installs PyMetal into a fresh environment, runs the suite on the GPU and on
# the software device, and writes one report to attach to an issue.
#
#     scripts/first_run_on_mac.sh [REPORT]        default: pymetal-report.txt
#
# Changes nothing outside a temporary folder and the report.
set -u
cd "$(dirname "$0")/.."
root=$PWD
report=$(cd "$(dirname "${1:-.}")" && pwd)/$(basename "${1:-pymetal-report.txt}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >"$report"

# section TITLE COMMAND...: the command and all it says, in the report; its last line on the screen
section() {
  local title=$1 log=$work/log status
  shift
  "$@" >"$log" 2>&1
  status=$?
  {
    printf '\n== %s (exit code %d)\n$ %s\n' "$title" "$status" "$*"
    cat "$log"
  } >>"$report"
  printf '%-28s exit code %d: %s\n' "$title" "$status" "$(tail -n 1 "$log")"
}

section 'commit' git log -1 --format=%H
section 'system' sw_vers
section 'machine' sysctl -n machdep.cpu.brand_string hw.memsize
section 'Xcode' xcode-select -p
section 'Metal compiler' xcrun -sdk macosx metal --version

python3 -m venv "$work/env" && . "$work/env/bin/activate"
section 'install' pip install "$root[test,software]"
# Where the package's source does not hide the installed package.
mkdir "$work/checkout" && git ls-files -- . ':!pymetal' | tar -cf - -T - | tar -xf - -C "$work/checkout"
cd "$work/checkout" || exit 1

section 'doctor' pymetal doctor
section 'info' pymetal info
section 'quickstart' python examples/quickstart.py
section 'tests on the GPU' pytest -q --device metal -k metal
section 'tests on the software device' pytest -q --device cpu
section 'tests with API validation' env MTL_DEBUG_LAYER=1 pytest -q --device metal -k metal
section 'tests with GPU validation' env MTL_SHADER_VALIDATION=1 pytest -q --device metal -k metal
section 'GPU capture' env MTL_CAPTURE_ENABLED=1 python - <<'PYTHON'
import numpy as np, pymetal
with pymetal.capture(device="metal") as path:
    n = 64
    a = np.ones((n, n), np.float32)
    pymetal.run_metal_kernel("matmul", [a, a, n], (n, n), (n, n, 1), (16, 16, 1), device="metal")
print(path, "exists" if path.exists() else "is missing")
PYTHON

echo "Report: $report"

#!/usr/bin/env bash
# A first run on a Mac: installs PyMetal into a fresh environment, runs the suite on the GPU and on
# the software device, and writes one report to attach to an issue.
#
#     scripts/first_run_on_mac.sh [REPORT]        default: pymetal-report.txt
#
# Changes nothing but a temporary folder, the report, and subprojects/metal-cpp, where Meson puts
# Apple's headers. Takes some minutes; what hangs is ended after half an hour, and the rest runs.
set -u
report=${1:-pymetal-report.txt}
case $report in /*) ;; *) report=$PWD/$report ;; esac
cd "$(dirname "$0")/.." || exit 1
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYMETAL_CACHE_DIR=$work/cache
: >"$report"

# section TITLE COMMAND...: the command and all it says, in the report; its last line on the screen.
# Leaves its exit code in `status`. macOS has no `timeout`: perl sets an alarm that ends the command.
section() {
  local title=$1 log=$work/log
  shift
  perl -e 'alarm 1800; exec @ARGV; die "$ARGV[0]: $!\n"' "$@" >"$log" 2>&1
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

# The python3 that comes with Xcode is too old.
for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && break
  python=
done
section 'Python' "${python:-false}" -VV
if [ -z "$python" ]; then
  echo 'PyMetal needs Python 3.10 or later: install it from python.org or with `brew install python`'
  exit 1
fi
"$python" -m venv "$work/env" && . "$work/env/bin/activate"
section 'install' pip install "$root[test,software]"
if [ $status -ne 0 ]; then
  echo "PyMetal cannot be installed here. Report: $report"
  exit 1
fi
# Where the package's source does not hide the installed package.
mkdir "$work/checkout"
tar -cf - --exclude ./.git --exclude ./pymetal . | tar -xf - -C "$work/checkout"
cd "$work/checkout" || exit 1

section 'doctor' pymetal doctor
section 'info' pymetal info
section 'quickstart' python examples/quickstart.py
section 'tests on the GPU' pytest -q --device metal
section 'tests on the software device' pytest -q --device cpu
section 'tests with API validation' env MTL_DEBUG_LAYER=1 pytest -q --device metal
section 'tests with GPU validation' env MTL_SHADER_VALIDATION=1 pytest -q --device metal
section 'GPU capture' env MTL_CAPTURE_ENABLED=1 TMPDIR="$work" python - <<'PYTHON'
import numpy as np, pymetal
with pymetal.capture(device="metal") as path:
    n = 64
    a = np.ones((n, n), np.float32)
    pymetal.run_metal_kernel("matmul", [a, a, n], (n, n), (n, n, 1), (16, 16, 1), device="metal")
print(path, "exists" if path.exists() else "is missing")
PYTHON
section 'a warm launch' pymetal bench matrix_add --device metal --grid 1024 -o 1024 \
  -i random:1024 -i random:1024
section 'precompiled kernels' python - <<'PYTHON'
from pymetal.find import shipped_dir
print(*sorted(path.name for path in shipped_dir().iterdir()))
PYTHON

echo "Report: $report"

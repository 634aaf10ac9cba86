#!/usr/bin/env bash
# venv.sh [--find]: makes build/venv, the Python environment of tests/requirements.txt, and prints the path of its
# Python. Quick when it is there; two calls at once make it once; with --find it is never made. Exit 77, and a line that
# begins with SKIPPED, when it is not there to be found or cannot be made here: no venv module, no packages for this
# Python, no registry. Exit 1 when the registry answers and it still fails.
set -eu
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$(dirname "$tests")/build/venv
python=$venv/bin/python

skip() { echo "SKIPPED: no Python environment for the comparison with PyTorch: $1" >&2 && exit 77; }
registry_answers() { "$python" -m pip download --quiet --no-deps --no-cache-dir --dest "$venv/probe" filelock; }

mkdir -p "$(dirname "$venv")"
exec 9>"$venv.lock"
flock 9
stamp=$(sha256sum "$tests/requirements.txt" "$tests/parity/cuda_stand_ins.sh" | sha256sum)
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
  [ "${1:-}" != --find ] || skip "make it once with tests/venv.sh (570 MB from the registry of Python packages)"
  rm -rf "$venv"
  python3 -m venv "$venv" >&2 || skip "python3 -m venv failed; Debian's package is python3-venv"
  status=0
  timeout 1200 "$python" -m pip install --quiet --no-deps --no-compile --only-binary :all: -r "$tests/requirements.txt" \
    >"$venv/pip.log" 2>&1 || status=$?
  cat "$venv/pip.log" >&2
  [ $status -ne 124 ] || skip "the registry of Python packages was too slow: 20 minutes were not enough"
  if [ $status -ne 0 ]; then
    registry_answers >&2 || skip "the registry of Python packages cannot be reached"
    ! grep -qi 'no matching distribution' "$venv/pip.log" ||
      skip "the registry has not all of tests/requirements.txt for $("$python" --version)"
    echo "venv.sh: pip could not install tests/requirements.txt" >&2 && exit 1
  fi
  "$tests/parity/cuda_stand_ins.sh" "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch/lib"
  echo "$stamp" >"$venv/stamp"
fi
echo "$python"

#!/usr/bin/env bash
# run.sh [--all]: installs what is missing, builds and runs every test of the project, part by part, and goes on after a
# failure. --all adds the label slow. The last line counts builds and tests: "N passed, N failed", and ", N skipped" where
# any were; exit 1 if any failed.
# Tests on real text take it from TRIREME_TEST_DATA (default ../shared/data, seen from the checkout).
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
packages=(--tests) without_slow=(-LE '^slow$')
for option in "$@"; do
  case $option in
    --all) packages+=(--slow-tests) without_slow=() ;;
    *) echo "run.sh: unknown option $option (there is --all)" >&2 && exit 2 ;;
  esac
done
if [ "$(id -u)" -eq 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export TRIREME_TEST_DATA=${TRIREME_TEST_DATA:-../shared/data}
[ -d "$TRIREME_TEST_DATA" ] ||
  echo "SKIPPED: tests on real text, since there is no folder $TRIREME_TEST_DATA (set TRIREME_TEST_DATA)"

jobs=$(nproc)
passed=0 failed=0 skipped=0 minutes=()

part() { # NAME COMMAND...: one passed, failed or (exit 77) skipped; the rest of the script goes on
  local name=$1 started=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  "$@"
  case $? in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) && echo "FAILED: $name" ;;
  esac
  took "$name" "$started"
}

took() { # NAME STARTED
  minutes+=("$(awk -v seconds=$((SECONDS - $2)) -v name="$1" 'BEGIN { printf "%6.1f min  %s", seconds / 60, name }')")
}

tests() { # NAME CTEST_OPTION...: counts each test
  local name=$1 started=$SECONDS log status total=0 bad=0 not_run
  shift
  printf '\n== %s\n' "$name"
  log=$(mktemp)
  ctest --parallel "$jobs" --output-on-failure "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  # "98% tests passed, 2 tests failed out of 143"
  read -r bad total < <(sed -n 's/^[0-9]*% tests passed, \([0-9]*\) tests failed out of \([0-9]*\)$/\1 \2/p' "$log")
  not_run=$(grep -c '^[[:blank:]]*[0-9]* - .* (Skipped)$' "$log") # which ctest counts as passed
  rm -f "$log"
  if [ "${total:-0}" -eq 0 ] || { [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; }; then
    bad=$((${bad:-0} + 1)) && echo "FAILED: $name: ctest ended with $status"
  fi
  failed=$((failed + bad)) skipped=$((skipped + not_run))
  passed=$((passed + (total > bad + not_run ? total - bad - not_run : 0)))
  took "$name" "$started"
}

build() { # PRESET CMAKE_OPTION...
  local preset=$1
  shift
  cmake --preset "$preset" "$@" && cmake --build --preset "$preset" --parallel "$jobs"
}

cuda_speaks() { # the program starts and says what it finds, with or without a GPU
  build/cuda/bin/trireme --version && build/cuda/bin/trireme --version | grep -q 'CUDA runtime .*, cuBLASLt '
}

part "packages" launch/install_packages.sh "${packages[@]}"
part "packages of Python" tests/venv.sh
part "cpu-release: build everything" build cpu-release -DTRIREME_TESTS=ON -DTRIREME_BENCHES=ON
tests "cpu-release: tests" --preset cpu-release "${without_slow[@]}"
part "cpu-asan: build" build cpu-asan
tests "cpu-asan: tests" --preset cpu-asan "${without_slow[@]}"
part "cpu-tsan: build" build cpu-tsan
tests "cpu-tsan: tests" --preset cpu-tsan "${without_slow[@]}"
if command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; then
  part "cuda: compile for sm_90a and link" build cuda -DTRIREME_TESTS=ON -DTRIREME_BENCHES=ON
  part "cuda: the program starts" cuda_speaks
  part "cuda: the bundle" cmake --build --preset cuda --target bundle
  tests "cuda: tests" --preset cuda "${without_slow[@]}"
else
  skipped=$((skipped + 1))
  printf '\nSKIPPED: the CUDA build, since there is no nvcc on PATH or in /usr/local/cuda/bin\n'
fi

printf '\n== Minutes by part\n'
printf '%s\n' "${minutes[@]}"
summary="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || summary+=", $skipped skipped"
printf '\n%s\n' "$summary"
[ "$failed" -eq 0 ]

#!/usr/bin/env bash
# selftest.sh COMPILER CLANG_FORMAT: every check of this folder is silent about a clean tree and finds what is planted
# in it. Each case is one file with one violation and the words that the check must print about it.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
compiler=$1 clang_format=$2
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

clean_tree() {
  rm -rf "${tree:?}"/*
  mkdir -p "$tree"/{runtime,parallel,model,data,checkpoint,launch,tests/{runtime,model},bench/runtime}
  printf '// A header of one fact.\n#pragma once\n\n#include <cstdint>\n\nusing Count = int64_t;\n' >"$tree/runtime/count.h"
  printf '// Uses what it may use.\n#pragma once\n\n#include "runtime/count.h"\n' >"$tree/model/size.h"
  printf '#include "model/size.h"\n\n#include <gtest/gtest.h>\n' >"$tree/tests/model/size_test.cpp"
  printf '#include <boost/json.hpp>\n' >"$tree/model/json.cpp"
  printf '#if defined(__SANITIZE_THREAD__) || defined(__x86_64__)\n#endif\n' >"$tree/runtime/plain.cpp"
  printf '#include <mpi.h>\n#pragma omp parallel\n' >"$tree/runtime/mpi_session.cpp"
  printf '#if __CUDA_ARCH_FEAT_SM90_ALL\n#endif\n' >"$tree/runtime/kernel.cu"
  printf '#include <boost/program_options.hpp>\n\n#include "checkpoint/save.h"\n' >"$tree/launch/main.cpp"
  cp "$here/../../.clang-format" "$tree"
}

run_check() { # CHECK
  case $1 in
    format) "$here/check_format.sh" "$clang_format" "$tree" ;;
    alone) "$here/check_headers_alone.sh" "$compiler" "$tree/stamps" "$tree" ;;
    *) "$here/check_sources.sh" "$1" "$tree" ;;
  esac
}

expect_caught() { # CHECK FILE CONTENT WORDS
  local output
  clean_tree
  printf "$3" >"$tree/$2"
  if output=$(run_check "$1" 2>&1); then
    echo "$1 did not catch $2: $3" && failures=$((failures + 1))
  elif ! grep -qF -- "$4" <<<"$output" || ! grep -qF -- "$2" <<<"$output"; then
    echo "$1 failed for another reason on $2: $output" && failures=$((failures + 1))
  fi
}

for check in includes vendors conditionals sizes headers names format alone; do
  clean_tree
  if ! output=$(run_check $check 2>&1) || [ -n "$output" ]; then
    echo "$check is not silent about a clean tree: $output" && failures=$((failures + 1))
  fi
done

may_not=(runtime:parallel runtime:model runtime:data runtime:checkpoint runtime:launch parallel:model parallel:data
  parallel:checkpoint parallel:launch model:data model:checkpoint model:launch data:parallel data:model data:checkpoint
  data:launch checkpoint:model checkpoint:data checkpoint:launch)
for pair in "${may_not[@]}"; do
  expect_caught includes "${pair%:*}/x.cpp" "#include \"${pair#*:}/x.h\"\n" "${pair%:*} may not include ${pair#*:}/x.h"
done
expect_caught includes runtime/x.cpp '  #  include <model/x.h>\n' 'runtime may not include model/x.h'
expect_caught includes tests/runtime/x_test.cpp '#include "model/x.h"\n' 'runtime may not include model/x.h'
expect_caught includes bench/runtime/x_bench.cpp '#include "model/x.h"\n' 'runtime may not include model/x.h'
expect_caught includes model/x.cpp '#include "tests/reference/x.h"\n' 'may not include tests/'
expect_caught includes runtime/x.cu '#include "../model/x.h"\n' 'name the room'
expect_caught includes runtime/x.cpp '#include "count.h"\n' 'name the room'

expect_caught vendors model/x.cpp '#include <mpi.h>\n' 'belongs in: runtime'
expect_caught vendors data/x.h '#include <cuda_runtime.h>\n' 'belongs in: runtime'
expect_caught vendors model/x.cpp '#include <cblas.h>\n' 'belongs in: runtime'
expect_caught vendors checkpoint/x.cpp '#include <hdf5.h>\n' 'belongs in: runtime'
expect_caught vendors runtime/x.cpp '#include <hdf5.h>\n' 'behind runtime/h5.h'
expect_caught vendors launch/x.cpp '#include <prometheus/registry.h>\n' 'belongs in: runtime'
expect_caught vendors data/x.cpp '#include <xxhash.h>\n' 'belongs in: runtime'
expect_caught vendors data/x.cpp '#include <openssl/sha.h>\n' 'belongs in: runtime launch'
expect_caught vendors runtime/x.cpp '#include <boost/program_options.hpp>\n' 'belongs in: launch'
expect_caught vendors runtime/x.cpp '#include <unicode/uchar.h>\n' 'belongs in: data'
expect_caught vendors model/x.cpp '#pragma omp parallel for\n' 'OpenMP belongs in: runtime'
expect_caught vendors model/x.cpp '#include <gtest/gtest.h>\n' 'belongs in: tests'

expect_caught conditionals runtime/x.cpp '#ifdef TRIREME_CUDA\n#endif\n' 'let CMake choose'
expect_caught conditionals runtime/x.h '#if defined(__CUDACC__)\n#endif\n' 'let CMake choose'
expect_caught conditionals launch/x.cpp '#if 0\n#elif defined(HAVE_MPI)\n#endif\n' 'let CMake choose'
expect_caught conditionals model/x.cpp '#if __has_include(<nccl.h>)\n#endif\n' 'let CMake choose'

expect_caught sizes runtime/x.cpp "$(printf '%0600d' 0 | sed 's/0/\\n/g')" '600 lines'
expect_caught sizes launch/CMakeLists.txt "$(printf '%0600d' 0 | sed 's/0/\\n/g')" '600 lines'
expect_caught headers runtime/x.h '// Says what it is.\n' 'no #pragma once'
expect_caught headers runtime/x.h '#pragma once\n' 'open with a comment'
expect_caught names model/string_utils.h '// X.\n#pragma once\n' 'a name that says nothing'
expect_caught names model/common.cpp '\n' 'a name that says nothing'
expect_caught format runtime/x.cpp 'int  f( );\n' 'clang-format-violations'
expect_caught alone model/x.h '// X.\n#pragma once\nstd::string f();\n' 'does not compile alone'
expect_caught alone runtime/x.h '// X.\n#pragma once\n#include "model/size.h"\n' 'does not compile alone'

[ "$failures" -eq 0 ] && echo "every check finds what it should"

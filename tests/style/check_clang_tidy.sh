#!/usr/bin/env bash
# check_clang_tidy.sh CLANG_TIDY BUILD: .clang-tidy over every .cpp that BUILD compiles. Slow: some seconds a file.
set -eu
tidy=$1 build=$2
# gcc's own folder comes last: it has <omp.h>, and must not offer gcc's other headers to clang.
gcc_headers=$(dirname "$(gcc -print-file-name=include/omp.h)")
sed -n 's/^ *"file": "\(.*\.cpp\)",*$/\1/p' "$build/compile_commands.json" | sort -u |
  xargs -r -n 1 -P "$(nproc)" "$tidy" -p "$build" --quiet --extra-arg=-Wno-everything \
    --extra-arg=-idirafter --extra-arg="$gcc_headers"

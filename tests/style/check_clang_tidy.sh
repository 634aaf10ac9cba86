#!/usr/bin/env bash
# check_clang_tidy.sh CLANG_TIDY BUILD: .clang-tidy over every .cpp that BUILD compiles. Slow: some seconds a file.
set -eu
tidy=$1 build=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
sed -n 's/^ *"file": "\(.*\.cpp\)",*$/\1/p' "$build/compile_commands.json" | sort -u |
  xargs -r -n 1 -P "$(nproc)" "$tidy" -p "$build" --quiet --extra-arg=-Wno-everything \
    --extra-arg=-idirafter --extra-arg="$here/clang_headers"

#!/usr/bin/env bash
# run.sh BUILD_DIRECTORY [TARGET [SECONDS]]: builds the fuzz targets with clang and runs one (encode, jsonl, shard, tokenizer_json), or each of them, for
# SECONDS (60). What it finds lies in BUILD_DIRECTORY/found/TARGET-*: run the program with that file to see it again. What a target
# has learned lies in BUILD_DIRECTORY/corpus/TARGET, and the next run goes on from there. Exit 77 where there is no clang.
set -eu
fuzz=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$1 target=${2:-all} seconds=${3:-60}
clang=$(command -v clang++-19 || command -v clang++) || { echo "SKIPPED: no clang++ for the fuzz targets: apt-get install clang-19 libclang-rt-19-dev" && exit 77; }

mkdir -p "$build"
cmake -G Ninja -S "$fuzz" -B "$build" -DCMAKE_CXX_COMPILER="$clang" -DCMAKE_C_COMPILER="${clang/++/}" -DCMAKE_BUILD_TYPE=None >"$build/configure.log" ||
  { cat "$build/configure.log" && exit 1; }
cmake --build "$build" --parallel "$(nproc)" >"$build/build.log" || { tail -40 "$build/build.log" && exit 1; }

targets=$target
[ "$target" != all ] || targets="encode jsonl shard tokenizer_json"
for name in $targets; do
  mkdir -p "$build/corpus/$name" "$build/found"
  # HDF5 keeps small blocks for later by itself, which no leak check can follow.
  echo "== fuzz_$name, $seconds s"
  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 "$build/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
    -artifact_prefix="$build/found/$name-" "$build/corpus/$name" 2>"$build/$name.log" || { tail -60 "$build/$name.log" && exit 1; }
  grep -E '^stat::(number_of_executed_units|average_exec_per_sec|new_units_added)' "$build/$name.log"
done

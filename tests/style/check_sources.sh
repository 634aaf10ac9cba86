#!/usr/bin/env bash
# check_sources.sh CHECK [ROOT]: one house rule over all sources below ROOT; prints FILE:LINE: what is wrong, exit 1 if any.
#   includes      direction between rooms, no ".."
#   vendors       a vendor's headers and OpenMP pragmas only in the rooms that may speak its name
#   conditionals  no #if on a backend outside runtime/simd.h
#   sizes         no file of 600 lines or more
#   headers       every .h opens with a comment and has #pragma once
#   names         no utils, common, helpers, manager
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/rooms.sh"
check=$1
root=${2:-$here/../..}

# A file of tests/ROOM or bench/ROOM follows its room's rules. A piece that tests of several rooms share may see them all
# (the include root of the test decides) and names the vendors that runtime may name.
over_lines() { # AWK_PROGRAM: runs with `file`, `room` and `seen` set; `report(text)` prints
  local file room part seen
  sources_below "$root" h cpp cu cuh | while read -r file; do
    part=${file#tests/} part=${part#bench/} room=${part%%/*}
    seen=$(rooms_seen_by "$room")
    [ -n "$seen" ] || { room=runtime && seen=$rooms; }
    awk -v file="$file" -v room="$room" -v seen=" $seen " -v rooms=" $rooms " '
      function report(text) { print file ":" FNR ": " text }
      function included(   path) {  # the path of an #include line, else ""
        if ($0 !~ /^[ \t]*#[ \t]*include[ \t]*["<]/) return ""
        path = $0
        sub(/^[^"<]*["<]/, "", path)
        sub(/[">].*/, "", path)
        return path
      }
      function room_of(path) { sub(/\/.*/, "", path); return path }
      '"$1" "$root/$file"
  done
}

includes() {
  over_lines '
    (path = included()) != "" {
      if (path ~ /(^|\/)\.\.?(\/|$)/) report("#include \"" path "\": name the room, as in \"room/file.h\"")
      other = room_of(path)
      if (index(rooms, " " other " ") && !index(seen, " " other " ")) report(room " may not include " path)
      if (other ~ /^(tests|bench)$/ && file !~ "^" other "/") report(file " may not include " path)
      if ($0 ~ /include[ \t]*"/ && path !~ /\//) report("#include \"" path "\": name the room, as in \"room/file.h\"")
    }'
}

vendors() {
  over_lines '
    function only(pattern, where) {
      if (path ~ pattern && !index(" " where " ", " " room " ")) report("<" path "> belongs in: " where)
    }
    /^[ \t]*#[ \t]*pragma[ \t]+omp/ && room != "runtime" { report("OpenMP belongs in: runtime") }
    (path = included()) != "" {
      only("^(cuda|cublas|cudnn|curand|cusparse|nvtx3|cooperative_groups|cub/|mma\\.h|nccl|nvml)", "runtime")
      only("^(mpi\\.h|mpi/|openmpi/|mpi-ext)", "runtime")
      only("^(cblas|openblas|lapacke|f77blas)|^hwy/|^omp\\.h", "runtime")
      only("^(hdf5|H5[A-Z]|hdf5/)|^prometheus/|^xxh", "runtime")
      if (path ~ /^(hdf5|H5[A-Z])/ && file !~ /^runtime\/h5/) report("<" path "> belongs behind runtime/h5.h")
      only("^openssl/", "runtime launch")
      only("^unicode/|^pcre2|^zlib\\.h|^zstd|^zdict", "data")
      only("^curl/", "launch")
      if (path ~ /^boost\// && path !~ /^boost\/(json|system)[.\/]/) only("^boost/", "launch")
      if (path ~ /^(gtest|gmock)\// && file !~ /^tests\//) report("<" path "> belongs in: tests")
      if (path ~ /^benchmark\// && file !~ /^bench\//) report("<" path "> belongs in: bench")
    }'
}

conditionals() {
  over_lines '
    /^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)[ \t(!]/ && file != "runtime/simd.h" {
      text = toupper($0)
      gsub(/__CUDA_ARCH[A-Z_0-9]*/, "", text)  # the GPU generation inside a kernel is not a backend
      if (text ~ /CUDA|NVCC|NCCL|MPI|CUDNN|CUBLAS|OPENMP|HDF5|OPENBLAS|HIP|TRIREME_|__HAS_INCLUDE/)
        report("#if on a backend: let CMake choose the file, x_cuda.cu or x_none.cpp")
    }'
}

sizes() {
  {
    sources_below "$root" h cpp cu cuh sh cmake
    (cd "$root" && find . -path ./build -prune -o -name CMakeLists.txt -print)
  } | while read -r file; do
    lines=$(wc -l <"$root/$file")
    [ "$lines" -lt 600 ] || echo "$file:$lines: 600 lines is the end: split it by ideas"
  done
}

headers() {
  sources_below "$root" h | while read -r file; do
    head -n 1 "$root/$file" | grep -q '^// ' || echo "$file:1: open with a comment: what this is, what it does not know"
    grep -q '^#pragma once$' "$root/$file" || echo "$file:1: no #pragma once"
  done
}

names() {
  sources_below "$root" h cpp cu cuh sh cmake | while read -r file; do
    if [[ $(basename "$file") =~ (^|_)(utils?|utilities|common|helpers?|managers?|misc)(_|\.) ]]; then
      echo "$file:1: a name that says nothing (${BASH_REMATCH[2]}): name the file for its idea"
    fi
  done
}

case $check in
  includes | vendors | conditionals | sizes | headers | names) found=$($check) ;;
  *) echo "check_sources.sh: there is no check '$check'" >&2 && exit 2 ;;
esac
[ -z "$found" ] || { echo "$found" && exit 1; }

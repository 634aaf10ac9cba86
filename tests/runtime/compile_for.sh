#!/usr/bin/env bash
# compile_for.sh CMAKE SOURCE_ROOT ARCHITECTURE BUILD_DIRECTORY: compiles the room runtime with CUDA for GPUs of another
# architecture (80-real, 100a-real, ...). Nothing is linked or run.
set -eu
cmake=$1 source_root=$2 architecture=$3 build=$4

"$cmake" -S "$source_root" -B "$build" -G Ninja -DTRIREME_CUDA=ON -DTRIREME_CUDA_ARCHITECTURES="$architecture" \
  -DTRIREME_TESTS=OFF -DTRIREME_BENCHES=OFF
"$cmake" --build "$build" --target trireme_runtime

#!/usr/bin/env bash
# spill_test.sh NVCC OPTION...: the options that let a spill fail the build do so: a kernel that needs far more registers than
# its bounds leave is refused with these words, and one that does not is taken.
set -u
nvcc=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

kernel() { # FLOATS: that many live at once in a thread which may have 32 registers
  cat <<END
__global__ void __launch_bounds__(1024, 2) kernel(const float* x, float* y, int n) {
  float v[$1];
#pragma unroll
  for (int i = 0; i < $1; ++i) v[i] = x[threadIdx.x + i * n];
  for (int k = 0; k < n; ++k) {
#pragma unroll
    for (int i = 0; i < $1; ++i) v[i] = v[i] * v[(i + 1) % $1] + x[k];
  }
#pragma unroll
  for (int i = 0; i < $1; ++i) y[threadIdx.x + i * n] = v[i];
}
END
}

kernel 96 >"$work/spills.cu"
kernel 2 >"$work/fits.cu"
compile() { "$nvcc" -arch=sm_90a -O3 "$@" -o "$work/out.o"; }

compile -c "$work/fits.cu" "${@}" || { echo "a kernel that fits is refused" && exit 1; }
if output=$(compile -c "$work/spills.cu" "$@" 2>&1); then
  echo "a kernel that spills is taken" && exit 1
fi
[[ $output == *"Registers are spilled"* ]] || { echo "refused with other words: $output" && exit 1; }

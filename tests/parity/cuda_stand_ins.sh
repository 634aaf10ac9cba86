#!/usr/bin/env bash
# cuda_stand_ins.sh TORCH/lib: the registry's PyTorch for Linux is linked with CUDA libraries (2 GB of packages) that
# nothing on a CPU calls; it only fails to load without them. This puts one small library in their place, under all
# their names, in which every function that PyTorch names is a trap. libcudart stays the real one, for it is called: it
# says that there is no GPU.
set -eu
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "cublasCreate_v2@libcublas.so.13", or without a version "ncclSend", becomes a function in C and an entry of the map of
# versions.
readelf --dyn-syms --wide lib*.so | awk '$7 == "UND" { print $8 }' | sort -u | awk -F @ -v map="$work/versions" '
  function trap(name) { print "void " name "(void) { __builtin_trap(); }" }
  $2 ~ /^(libcu|libnv|NVSHMEM)/ && $2 !~ /^libcudart/ { trap($1); names[$2] = names[$2] " " $1 ";" }
  $2 == "" && /^(nccl|curand|cusparseLt|cuFile)[A-Z]/ { trap($1) }
  END { for (version in names) print version " {" names[version] " };" > map }' >"$work/traps.c"
gcc -shared -w -O1 -o libcuda_stand_ins.so -Wl,--version-script="$work/versions" "$work/traps.c"

readelf --dynamic lib*.so | sed -n 's/.*(NEEDED).*\[\(lib\(cu\|nv\|nccl\).*\)\]$/\1/p' | sort -u |
  grep -v '^libcuda\.\|^libcudart\.' | xargs -n 1 ln -sf libcuda_stand_ins.so

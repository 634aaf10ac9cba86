#!/usr/bin/env bash
# fill.sh SOURCE_ROOT BUNDLE TGZ: completes a folder whose bin/ holds our programs by all that they need and a bare Linux has not:
# Open MPI (mpirun, orted, plugins, help files) and every shared library but those of glibc and of CUDA. Then packs it.
# Fails when the archive passes 40 MB.
set -eu
source_root=$1 bundle=$2 tgz=$3
most_bytes=$((40 * 1000 * 1000))

fail() { echo "fill.sh: $1" >&2 && exit 1; }
program() { command -v "$1" || fail "there is no $1: apt install openmpi-bin"; }

mkdir -p "$bundle/lib/openmpi3" "$bundle/share"
cp -L "$(program mpirun)" "$bundle/bin/mpirun"
cp -L "$(program orted)" "$bundle/bin/orted"
# Where this Open MPI keeps its plugins and the texts of its messages.
plugins=$(ompi_info --path pkglibdir --parsable | sed -n 's/^path:pkglibdir://p')
texts=$(ompi_info --path pkgdatadir --parsable | sed -n 's/^path:pkgdatadir://p')
[ -d "$plugins/openmpi3" ] && plugins=$plugins/openmpi3
ls "$plugins"/mca_*.so >/dev/null 2>&1 || fail "no plugins of Open MPI in '$plugins'"
cp -L "$plugins"/mca_*.so "$bundle/lib/openmpi3"
# Not those of networks (run.sh chooses shared memory) and of OpenSHMEM: the libraries behind them weigh megabytes.
rm -f "$bundle"/lib/openmpi3/mca_*_{ofi,ucx,psm,psm2,portals4,usnic,openib}.so "$bundle"/lib/openmpi3/mca_{spml,sshmem,scoll,atomic,memheap}_*.so
cp -rL "$texts" "$bundle/share/openmpi"
# Its process manager has a few of its own, beside its library.
pmix=$(ldd "$bundle"/lib/openmpi3/mca_pmix_*.so 2>/dev/null | awk '$1 ~ /^libpmix\.so/ { print $3; exit }')
[ -z "$pmix" ] || cp -rL "$(dirname "$(realpath "$pmix")")/pmix" "$bundle/lib/pmix"

# The loader knows what is needed by what; glibc stays that of the machine, CUDA comes with the GPU's driver or toolkit.
stays='^(ld-linux.*|lib(c|m|mvec|dl|rt|pthread|util|resolv|anl|nsl|nss_.*|BrokenLocale|thread_db)\.so.*|lib(cuda|cudart|cublas|cublasLt|cudnn.*|nccl|nvJitLink|nvidia.*)\.so.*)$'
needed() { # FILE...: "name path" of every library behind them
  ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | sort -u
}
missing=$(ldd "$bundle"/bin/* 2>/dev/null | awk '/=> not found/ { print $1 }' | sort -u | grep -Ev "$stays" || true)
[ -z "$missing" ] || fail "not found: $(echo $missing)"
while read -r name path; do
  [[ $name =~ $stays ]] || [ -e "$bundle/lib/$name" ] || cp -L "$path" "$bundle/lib/$name"
done < <(needed "$bundle"/bin/* "$bundle"/lib/openmpi3/*.so "$bundle"/lib/pmix/*.so)
chmod -R u+w "$bundle"
"$source_root"/launch/bundle/small_icu_data.sh "$bundle"/lib/libicudata.so.*
find "$bundle/lib" "$bundle/bin" -type f -exec strip --strip-unneeded {} + 2>/dev/null || true

cp "$source_root"/launch/bundle/run.sh "$source_root"/launch/bundle/README.md "$source_root"/LICENSE "$bundle"
cp "$source_root"/bench/gpu_check.sh "$source_root"/bench/gpu_pytorch.py "$bundle"
for name in trireme mpirun; do
  printf '#!/bin/sh\ncase $0 in */*) here=${0%%/*} ;; *) here=. ;; esac\nexec "$here/run.sh" %s "$@"\n' $name >"$bundle/$name"
  chmod +x "$bundle/$name"
done

tar -C "$(dirname "$bundle")" --owner=0 --group=0 --transform "s,^$(basename "$bundle"),$(basename "$tgz" .tgz)," -czf "$tgz" "$(basename "$bundle")"
bytes=$(stat -c %s "$tgz")
echo "$tgz: $((bytes / 1000000)) MB, $(find "$bundle" -type f | wc -l) files, $(du -sm "$bundle" | cut -f1) MB unpacked"
[ "$bytes" -le $most_bytes ] || fail "$tgz has $bytes bytes, more than $most_bytes"

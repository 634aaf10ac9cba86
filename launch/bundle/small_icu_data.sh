#!/usr/bin/env bash
# small_icu_data.sh LIBICUDATA: replaces a copy of ICU's data library (31 MB) by one with the only table that Trireme looks up there, that of the
# forms NFKC and NFKD: 60 kB. Character classes, NFC and NFD are in libicuuc itself.
set -eu
library=$1
version=$(nm -D "$library" | sed -n 's/.* icudt\([0-9]*\)_dat$/\1/p')
[ -n "$version" ] || { echo "small_icu_data.sh: $library holds no ICU data" >&2 && exit 1; }
command -v icupkg >/dev/null || { echo "small_icu_data.sh: there is no icupkg: apt install icu-devtools" >&2 && exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/small"
package=icudt${version}l.dat # its name is a part of every table's name
objcopy -O binary --only-section=.rodata "$library" "$work/$package"
icupkg -l "$work/$package" | grep -vx 'nfkc\.nrm' >"$work/others.txt"
icupkg -r "$work/others.txt" "$work/$package" "$work/small/$package"
cat >"$work/data.s" <<END
.section .rodata
.balign 16
.globl icudt${version}_dat
.type icudt${version}_dat, @object
icudt${version}_dat:
.incbin "$work/small/$package"
.size icudt${version}_dat, . - icudt${version}_dat
.section .note.GNU-stack,"",@progbits
END
gcc -shared -nostdlib -Wl,-soname,"libicudata.so.$version" -o "$library" "$work/data.s"
[ "$(stat -c %s "$library")" -lt 1000000 ] || { echo "small_icu_data.sh: $library is still large" >&2 && exit 1; }

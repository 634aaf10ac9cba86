#!/usr/bin/env bash
# bundle_test.sh CMAKE BUILD_DIRECTORY: makes the bundle, unpacks its archive in a root that holds besides only glibc and a shell,
# and uses it there: the version, data, three steps alone and on two ranks of its own mpirun. Exit 77 where this user may not
# change the root.
set -u
cmake=$1 build=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "bundle_test.sh: $1" && exit 1; }

"$cmake" --build "$build" --target bundle || fail "the bundle is not made"
tgz=$(ls -t "$build"/trireme-*.tgz | head -n 1)

root=$work/root
mkdir -p "$root"/{bin,lib64,tmp,proc,sys,dev,etc,opt,lib/x86_64-linux-gnu}
cp -L /bin/dash "$root/bin/sh"
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64"
for library in c m mvec dl rt pthread util resolv anl; do
  for file in /lib/x86_64-linux-gnu/lib$library.so.[0-9]*; do
    [ ! -e "$file" ] || cp -L "$file" "$root/lib/x86_64-linux-gnu"
  done
done
tar -xzf "$tgz" -C "$root/opt" || fail "$tgz is not unpacked"
bundle=/opt/$(basename "$tgz" .tgz)
for i in $(seq 2000); do echo "$i times $i is $((i * i))"; done >"$root/tmp/text.txt"

inside() { # COMMAND...: with the kernel's /proc, /sys and /dev, in a mount namespace that ends with it
  unshare --mount sh -c 'for folder in proc sys dev; do mount --rbind "/$folder" "$1/$folder" || exit; done && root=$1 && shift && exec env -i "$(command -v chroot)" "$root" "$@"' \
    sh "$root" "$@"
}
inside /bin/sh -c : 2>/dev/null || { echo "SKIPPED: this user may not change the root of a program" && exit 77; }

failures=0
expect() { # WHAT PATTERN COMMAND...: exit 0 and a line that matches
  local what=$1 pattern=$2 output status
  shift 2
  output=$(inside "$@" 2>&1)
  status=$?
  if [ $status -ne 0 ] || ! grep -Eq -- "$pattern" <<<"$output"; then
    echo "$what: exit $status, output: $output" && failures=$((failures + 1))
  fi
}
train=(--data /tmp/data --model nano --sequence-length 32 --global-batch-size 4 --steps 3 --log-every 1 --threads 1)
expect "version" '^trireme [0-9.]+' "$bundle/trireme" --version
expect "data" 'token' "$bundle/trireme" prepare --input /tmp/text.txt --output /tmp/data --tokenizer byte
expect "alone" 'step +3' "$bundle/trireme" train "${train[@]}" --run /tmp/alone
expect "two ranks" 'step +3' "$bundle/mpirun" -n 2 "$bundle/trireme" train "${train[@]}" --run /tmp/two
expect "two ranks are two" '2 ranks' "$bundle/mpirun" -n 2 "$bundle/trireme" train "${train[@]}" --run /tmp/again
[ $failures -eq 0 ]

#!/usr/bin/env bash
# install_packages.sh [--tests] [--slow-tests] [--quickstart]: installs the Debian 12 packages that Trireme is built from
# and that are missing, as root or through sudo; it removes nothing. Quick and silent when all are there.
set -eu

packages="g++ cmake ninja-build git pkg-config libboost1.81-dev libboost-program-options1.81-dev libboost-json1.81-dev
  libopenmpi-dev openmpi-bin libhdf5-dev libopenblas-openmp-dev prometheus-cpp-dev libssl-dev libxxhash-dev
  libicu-dev libpcre2-dev zlib1g-dev libzstd-dev"
for option in "$@"; do
  case $option in
    --tests) packages+=" libgtest-dev libbenchmark-dev clang-format python3-venv hdf5-tools icu-devtools slurmd slurmctld
      slurm-client munge iproute2" ;;
    --slow-tests) packages+=" clang-tidy-19 clang-19 libclang-rt-19-dev" ;;
    --quickstart) packages+=" bible-kjv" ;;
    *) echo "install_packages.sh: unknown option $option (there are --tests, --slow-tests and --quickstart)" >&2 && exit 2 ;;
  esac
done

fail() { echo "install_packages.sh: $1" >&2 && exit 1; }

is_installed() { # PACKAGE
  [[ $(dpkg-query -W -f='${db:Status-Status} ' "$1" 2>/dev/null) == *"installed "* ]]
}

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  fail "this is no Debian: install by hand what these Debian 12 packages hold: $(echo $packages)"
missing=()
for package in $packages; do
  is_installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

# Boost 1.81 and 1.74 exclude each other, and apt would remove the one there is without a word.
in_the_way=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 'libboost*1.74*-dev' 'libboost-dev' 'libboost-all-dev' 2>/dev/null |
  sed -n 's/^installed //p' | tr '\n' ' ')
if [[ -n $in_the_way && " ${missing[*]}" == *" libboost"* ]]; then
  fail "Boost 1.74 stands in the way of libboost1.81-dev; if you can do without: apt-get remove $in_the_way"
fi

as_root=(env)
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "run as root, or install sudo; missing are: ${missing[*]}"
  as_root=(sudo env)
fi
echo "Installing ${missing[*]}"
as_root+=(DEBIAN_FRONTEND=noninteractive)
"${as_root[@]}" apt-get update -qq || fail "apt-get update failed; are there network and package sources?"
"${as_root[@]}" apt-get install -y -qq --no-install-recommends --no-remove "${missing[@]}" ||
  fail "apt-get could not install ${missing[*]}"

# The tests start a Slurm of their own, with its own keys and ports: what apt has just brought need not run, now or later.
for service in munge slurmctld slurmd; do
  [[ " ${missing[*]} " == *" $service "* ]] || continue
  if [ -d /run/systemd/system ]; then
    "${as_root[@]}" systemctl disable --now --quiet $service
  else # and perhaps no services at all, as in a container
    "${as_root[@]}" service $service stop
    "${as_root[@]}" update-rc.d $service disable
  fi
done >/dev/null 2>&1 || true

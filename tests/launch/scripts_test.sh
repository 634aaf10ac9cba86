#!/usr/bin/env bash
# scripts_test.sh: install_packages.sh against a package system that is only pretended (nothing is installed), and the
# bad input of quickstart.sh. Each line of $calls is one call that really would have changed the machine.
set -u
source_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
calls=$work/calls
failures=0

pretend() { # NAME: the rest of the program on standard input
  { echo '#!/bin/bash' && cat; } >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}

fresh_machine() { # INSTALLED...: packages; the user is root
  rm -rf "${work:?}/bin" "$calls" "$work/installed"
  mkdir -p "$work/bin"
  touch "$calls" "$work/installed"
  printf '%s\n' "$@" >"$work/installed"
  pretend id <<<'echo 0'
  pretend apt-get <<<"echo apt-get \"\$@\" >>$calls"
  for program in systemctl service update-rc.d; do # one of the first two, by whether this machine has systemd
    pretend $program <<<"echo service \"\$@\" >>$calls"
  done
  # dpkg-query -W -f=FORMAT PATTERN...: both formats of the script start with the status.
  pretend dpkg-query <<END
format=\$2; shift 2; found=1
for pattern; do
  while read -r package; do
    [[ \$package == \$pattern ]] || continue
    found=0
    [[ \$format == *Package* ]] && echo "installed \$package" || printf 'installed '
  done <$work/installed
done
exit \$found
END
}

expect() { # WHAT STATUS OUTPUT_PATTERN CALLS_PATTERN COMMAND...
  local what=$1 status=$2 output_pattern=$3 calls_pattern=$4 output got
  shift 4
  output=$(PATH=$work/bin:/usr/bin:/bin "$@" 2>&1)
  got=$?
  if [ $got -ne "$status" ] || [[ $output != $output_pattern ]] || [[ $(tr '\n' ';' <"$calls") != $calls_pattern ]]; then
    echo "$what: exit $got, output '$output', calls '$(cat "$calls")'" && failures=$((failures + 1))
  fi
}

install=$source_root/launch/install_packages.sh
all=(g++ cmake ninja-build git pkg-config libboost1.81-dev libboost-program-options1.81-dev libboost-json1.81-dev
  libopenmpi-dev openmpi-bin libhdf5-dev libopenblas-openmp-dev prometheus-cpp-dev libssl-dev libxxhash-dev
  libicu-dev libpcre2-dev zlib1g-dev libzstd-dev)

fresh_machine "${all[@]}"
expect "all there: silent, and apt-get is left alone" 0 '' '' "$install"
of_tests="libgtest-dev libbenchmark-dev clang-format python3-venv hdf5-tools icu-devtools slurmd slurmctld slurm-client munge iproute2"
expect "tests: only what they need besides, and no service is left running" 0 "Installing $of_tests" \
  "apt-get update*;apt-get install*--no-install-recommends --no-remove $of_tests;service * munge*;service * slurmctld*;service * slurmd*;" \
  "$install" --tests
fresh_machine "${all[@]}" $of_tests
expect "tests: all there, and services are left alone" 0 '' '' "$install" --tests
fresh_machine "${all[@]}" ${of_tests/slurmd /}
pretend systemctl <<<'exit 1'
pretend service <<<'exit 1'
pretend update-rc.d <<<'exit 1'
expect "no services here: no failure" 0 'Installing slurmd' 'apt-get update*;apt-get install* --no-remove slurmd;' "$install" --tests
fresh_machine "${all[@]:1}"
expect "one missing: only that one" 0 'Installing g++' 'apt-get update*;apt-get install* --no-remove g++;' "$install"
pretend apt-get <<<'exit 1'
expect "no network: one line" 1 $'Installing g++\ninstall_packages.sh: apt-get update failed*' '*' "$install"
fresh_machine libboost1.74-dev libboost-dev
expect "Boost 1.74: one line, nothing removed" 1 \
  'install_packages.sh: Boost 1.74 stands in the way*apt-get remove libboost1.74-dev libboost-dev*' '' "$install"
fresh_machine "${all[@]:1}"
pretend id <<<'echo 1000'
pretend sudo <<<"echo sudo >>$calls; \"\$@\""
expect "not root: through sudo" 0 'Installing g++' 'sudo;apt-get update*;sudo;apt-get install*;' "$install"
expect "unknown option" 2 '*unknown option --test *' '*' "$install" --test

quickstart=$source_root/launch/quickstart.sh
fresh_machine "${all[@]}"
touch "$work/empty"
expect "no such file" 2 "quickstart.sh: '/no/such/file' is not a file;*" '' "$quickstart" /no/such/file
expect "a directory" 2 "quickstart.sh: '$work' is not a file;*" '' "$quickstart" "$work"
expect "an empty file" 2 "quickstart.sh: '$work/empty' is empty;*" '' "$quickstart" "$work/empty"
expect "two files" 2 'quickstart.sh: one text file at most:*' '' "$quickstart" a b
expect "unknown option of run.sh" 2 'run.sh: unknown option --slow *' '' "$source_root/tests/run.sh" --slow

# run.sh and venv.sh in a checkout of their own, where nothing is built or fetched.
checkout=$work/checkout
mkdir -p "$checkout/launch" "$checkout/tests/parity" "$checkout/build/cuda/bin"
cp "$source_root/tests/run.sh" "$source_root/tests/venv.sh" "$source_root/tests/requirements.txt" "$checkout/tests"
cp "$source_root/tests/parity/cuda_stand_ins.sh" "$checkout/tests/parity"
pretend ../checkout/launch/install_packages.sh <<<''
pretend ../checkout/build/cuda/bin/trireme <<<'echo CUDA runtime 13.0, cuBLASLt 13.1.0'
pretend cmake <<<''
pretend nvcc <<<''
pretend ctest <<'END'
echo '1/3 Test #1: a .... Passed'
echo '100% tests passed, 0 tests failed out of 3'
printf '\nThe following tests did not run:\n\t  2 - b (Skipped)\n'
END
pretend python3 <<<'exit 1'
expect "no venv module: skipped, not passed, and three tests of each build, one skipped" 0 \
  $'*SKIPPED: no Python*\n15 passed, 0 failed, 5 skipped' '' "$checkout/tests/run.sh"
pretend ctest <<<"echo '67% tests passed, 1 tests failed out of 3'; exit 8"
mv "$checkout/tests/venv.sh" "$work/venv.sh"
pretend ../checkout/tests/venv.sh <<<''
expect "failures, nothing skipped" 1 $'*\n16 passed, 4 failed' '' "$checkout/tests/run.sh"
mv "$work/venv.sh" "$checkout/tests/venv.sh"

pip_that() { # SAYS STATUS_OF_ANY_DOWNLOAD: python3 -m venv makes a Python whose pip cannot install
  pretend python3 <<END
mkdir -p "\$3/bin"
cat >"\$3/bin/python" <<'PYTHON'
#!/bin/bash
case "\$*" in
  *" install "*) echo "$1" >&2; exit 1 ;;
  *" download "*) exit $2 ;;
  --version) echo Python 3.99 ;;
esac
PYTHON
chmod +x "\$3/bin/python"
END
}
missing='ERROR: No matching distribution found for torch'
expect "nothing to be found" 77 'SKIPPED: *make it once with tests/venv.sh*' '' "$checkout/tests/venv.sh" --find
pip_that "$missing" 1
expect "no registry" 77 $'*\nSKIPPED: *the registry of Python packages cannot be reached' '' "$checkout/tests/venv.sh"
pip_that "$missing" 0
expect "no packages for this Python" 77 $'*\nSKIPPED: *the registry has not all * for Python 3.99' '' "$checkout/tests/venv.sh"
pip_that 'ERROR: No space left on device' 0
expect "the registry answers, and it fails" 1 $'*No space left*\nvenv.sh: pip could not install*' '' "$checkout/tests/venv.sh"

[ $failures -eq 0 ]

#!/usr/bin/env bash
# live.sh PROGRAM: PROGRAM (tests/model/pytorch_test.cpp) on fixtures that PyTorch makes here and now, with a fresh seed;
# TRIREME_TEST_SEED=n repeats one. Exit 77: skipped, there is no build/venv; tests/venv.sh makes it.
set -eu
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$("$tests/venv.sh" --find)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
seed=${TRIREME_TEST_SEED:-$((RANDOM << 15 | RANDOM))}
echo "repeat with TRIREME_TEST_SEED=$seed"
"$python" "$tests/parity/make_fixtures.py" --seed "$seed" --output "$work"
TRIREME_PARITY_FIXTURES=$work "$1"

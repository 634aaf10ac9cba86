#!/usr/bin/env bash
# other_readers.sh PROGRAM: what PROGRAM (tests/checkpoint/sample_program.cpp) saved and merged, read by h5py and
# safetensors. Exit 77: skipped, there is no build/venv; tests/venv.sh makes it.
set -eu
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$("$tests/venv.sh" --find)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$1" "$work"
"$python" "$tests/parity/read_checkpoints.py" "$work"

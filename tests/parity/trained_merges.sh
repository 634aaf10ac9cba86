#!/usr/bin/env bash
# trained_merges.sh PROGRAM: PROGRAM (tests/data/trained_merges_program.cpp) learns the same merges as Hugging Face's
# trainer. Exit 77: skipped, there is no build/venv (tests/venv.sh makes it) or no text.
set -eu
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$("$tests/venv.sh" --find)
exec "$python" "$tests/parity/bpe_merges.py" --compare "$1"

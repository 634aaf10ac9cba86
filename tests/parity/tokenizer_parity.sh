#!/usr/bin/env bash
# tokenizer_parity.sh PROGRAM: the ids of PROGRAM (tests/data/encode_program.cpp) against those of Hugging Face's tokenizers
# and of tiktoken, on texts of a fresh seed; TRIREME_TEST_SEED=n repeats one. Exit 77: skipped, there is no build/venv
# (tests/venv.sh makes it), no registry to fetch vocabularies from, or no TRIREME_TEST_DATA.
set -eu
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=${TRIREME_TEST_DATA:-$tests/../../shared/data}
[ -d "$data/gpt2-tokenizer" ] || { echo "SKIPPED: no GPT-2 vocabulary in $data (TRIREME_TEST_DATA)" >&2 && exit 77; }
python=$("$tests/venv.sh" --find)
vocabularies=$("$tests/parity/tokenizer_files.sh" "$python")
seed=${TRIREME_TEST_SEED:-$((RANDOM << 15 | RANDOM))}
echo "repeat with TRIREME_TEST_SEED=$seed"
"$python" "$tests/parity/tokenizer_parity.py" "$1" "$vocabularies" "$data" --seed "$seed"

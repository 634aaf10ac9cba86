#!/usr/bin/env bash
# quickstart.sh [TEXT FILE]: from a fresh Debian 12 to a small GPT that was trained on the file (or on the King James
# Bible), in one command and a few minutes. Everything it makes lies in build/quickstart; each call trains afresh.
set -eu

# About three minutes of training on two cores.
width=128 layers=4 heads=4 positions=128
batch=16 steps=600 warmup=50 learning_rate=1e-3
validate_every=100 sample_tokens=400

fail() { echo "quickstart.sh: $1" >&2 && exit "${2:-1}"; }
[ $# -le 1 ] || fail "one text file at most: quickstart.sh [TEXT FILE]" 2
corpus=
if [ $# -eq 1 ]; then
  [ -f "$1" ] || fail "'$1' is not a file; give a text file, or nothing for the King James Bible" 2
  [ -r "$1" ] || fail "'$1' cannot be read; check its permissions" 2
  [ -s "$1" ] || fail "'$1' is empty; give a text file of some hundred kilobytes" 2
  corpus=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
here=build/quickstart
trireme=$here/program/bin/trireme
mkdir -p $here

step=0
heading() { step=$((step + 1)) && printf '\n== %s/6 %s\n' $step "$1"; }

heading "Packages"
if [ -n "$corpus" ]; then
  launch/install_packages.sh
else
  launch/install_packages.sh --quickstart
fi
echo "all there"

heading "Build"
cmake --preset cpu-release -B $here/program -DTRIREME_TESTS=OFF -DTRIREME_BENCHES=OFF >$here/configure.log 2>&1 ||
  fail "cmake failed: see $here/configure.log"
cmake --build $here/program --parallel "$(nproc)" --target trireme
$trireme --version

heading "Data"
if [ -z "$corpus" ]; then
  corpus=$here/bible.txt
  bible -f 'gen1:1-rev22:21' >$corpus
  echo "the King James Bible, $(wc -c <$corpus) bytes"
fi
rm -rf $here/data $here/run $here/run-2-ranks
$trireme prepare --input "$corpus" --output $here/data --tokenizer byte

heading "Training"
cat >$here/model.json <<END
{
  "model_type": "gpt2",
  "vocab_size": 257,
  "n_positions": $positions,
  "n_embd": $width,
  "n_layer": $layers,
  "n_head": $heads
}
END
options="--data $here/data --model $here/model.json --global-batch-size $batch --warmup-steps $warmup \
--learning-rate $learning_rate --validate-every $validate_every --log-every 1"
$trireme train $options --run $here/run --steps $steps

logged() { # FIELD: its values in the order of the log
  sed -n "s/.*\"$1\": *\([-+0-9.eE]*\).*/\1/p" $here/run/log.jsonl
}
summary() { # FIELD NAME
  logged "$1" | awk -v name="$2" 'NR == 1 { first = $1 } { last = $1 } END { printf "%s %.3f -> %.3f\n", name, first, last }'
}
summary loss "training loss  "
summary validation_loss "validation loss"

heading "Sample"
# The corpus' own first words, whatever it is; iconv drops a character that the cut went through.
prompt=$(head -c 40 "$corpus" | head -n 1 | iconv -f UTF-8 -t UTF-8 -c | cut -d ' ' -f 1-4) || true
[ -n "$prompt" ] || prompt="The "
generate="$trireme generate --model $here/run --max-new-tokens $sample_tokens --temperature 0.7"
$generate --seed 1 --prompt "$prompt"

heading "What next"
mpi="mpirun -n 2 --oversubscribe --bind-to none"
[ "$(id -u)" -ne 0 ] || mpi="OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 $mpi"
threads=$(($(nproc) / 2 > 0 ? $(nproc) / 2 : 1))
cat <<END
In $PWD:

resume, to twice the steps
  $trireme train $options --run $here/run --steps $((2 * steps))

train on 2 ranks
  $mpi $trireme train $options --run $here/run-2-ranks --steps $steps --threads $threads

generate
  $generate --seed 2 --prompt $(printf %q "$prompt")
END

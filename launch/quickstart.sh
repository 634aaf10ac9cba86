#!/usr/bin/env bash
# quickstart.sh [TEXT FILE]: from a fresh Debian 12 to a small GPT that was trained on the file (or on the King James
# Bible), in one command and a few minutes. Everything it makes lies in build/quickstart; each call trains afresh and
# moves what an earlier one left to build/quickstart/before-DATE-TIME, with its data, so that it can still be resumed.
# From the environment: TRIREME_PROGRAM (a built trireme; then nothing is installed or built),
# TRIREME_QUICKSTART_DIRECTORY, and TRIREME_QUICKSTART_ with WIDTH, LAYERS, POSITIONS, BATCH, STEPS or SAMPLE_TOKENS.
set -eu

# About three minutes of training on two cores.
width=${TRIREME_QUICKSTART_WIDTH:-192} layers=${TRIREME_QUICKSTART_LAYERS:-4} heads=4
positions=${TRIREME_QUICKSTART_POSITIONS:-128} batch=${TRIREME_QUICKSTART_BATCH:-16}
steps=${TRIREME_QUICKSTART_STEPS:-900} sample_tokens=${TRIREME_QUICKSTART_SAMPLE_TOKENS:-400}
warmup=$((steps / 12)) learning_rate=2e-3 validate_every=150

fail() { echo "quickstart.sh: $1" >&2 && exit "${2:-1}"; }
[ $# -le 1 ] || fail "one text file at most: quickstart.sh [TEXT FILE]" 2
corpus=
if [ $# -eq 1 ]; then
  [ -f "$1" ] || fail "'$1' is not a file; give a text file, or nothing for the King James Bible" 2
  [ -r "$1" ] || fail "'$1' cannot be read; check its permissions" 2
  [ -s "$1" ] || fail "'$1' is empty; give a text file of some hundred kilobytes" 2
  corpus=$(realpath -- "$1")
fi
trireme=${TRIREME_PROGRAM:-}
if [ -n "$trireme" ]; then
  [ -f "$trireme" ] && [ -x "$trireme" ] || fail "TRIREME_PROGRAM '$trireme' is not a program" 2
  trireme=$(realpath -- "$trireme")
fi
cd "$(dirname "$(realpath -- "${BASH_SOURCE[0]}")")/.."
here=${TRIREME_QUICKSTART_DIRECTORY:-build/quickstart}
mkdir -p "$here"

step=0
heading() { step=$((step + 1)) && printf '\n== %s %s\n' $step "$1"; }
command_line() { # WORDS..., so that a shell reads them back
  local line
  printf -v line '%q ' "$@"
  printf '%s' "${line% }"
}

if [ -z "$trireme" ]; then
  heading "Packages"
  if [ -n "$corpus" ]; then
    launch/install_packages.sh
  else
    launch/install_packages.sh --quickstart
  fi
  echo "all there"

  heading "Build"
  cmake --preset cpu-release -B "$here/program" -DTRIREME_TESTS=OFF -DTRIREME_BENCHES=OFF >"$here/configure.log" 2>&1 ||
    fail "cmake failed: see $here/configure.log"
  cmake --build "$here/program" --parallel "$(nproc)" --target trireme
  trireme=$here/program/bin/trireme
fi
"$trireme" --version

heading "Data"
if [ -z "$corpus" ]; then
  command -v bible >/dev/null || fail "there is no program bible: give a text file, or install bible-kjv"
  corpus=$here/bible.txt
  bible -f 'gen1:1-rev22:21' >"$corpus"
  echo "the King James Bible, $(wc -c <"$corpus") bytes"
fi
before=$here/before-$(date +%Y%m%d-%H%M%S)
for old in data model.json run run-2-ranks; do
  [ -e "$here/$old" ] || continue
  [ -d "$before" ] || { mkdir "$before" && echo "what an earlier call left is in $before now"; }
  mv "$here/$old" "$before/"
done
"$trireme" prepare --input "$corpus" --output "$here/data" --tokenizer byte --validation-fraction 0.02

heading "Training"
cat >"$here/model.json" <<END
{
  "model_type": "gpt2",
  "vocab_size": 257,
  "n_positions": $positions,
  "n_embd": $width,
  "n_layer": $layers,
  "n_head": $heads
}
END
train=("$trireme" train --data "$here/data" --model "$here/model.json" --global-batch-size "$batch" --warmup-steps $warmup
  --learning-rate $learning_rate --validate-every $validate_every --checkpoint-every $validate_every --log-every 1)
"${train[@]}" --run "$here/run" --steps "$steps"

logged() { # FIELD: its values in the order of the log
  sed -n "s/.*\"$1\": *\([-+0-9.eE]*\).*/\1/p" "$here/run/log.jsonl"
}
summary() { # FIELD NAME
  logged "$1" | awk -v name="$2" 'NR == 1 { first = $1 } { last = $1 } END { if (NR) printf "%s %.3f -> %.3f\n", name, first, last }'
}
summary loss "training loss  "
summary validation_loss "validation loss"

heading "Sample"
# The corpus' own first words, whatever it is: "Ge1:1 In the beginning" for the Bible. iconv drops a character that a cut
# went through.
prompt=$(head -c 4000 "$corpus" | tr -d '\000' |
  awk 'NF { for (i = 1; i <= NF && i <= 4; ++i) printf "%s%s", (i > 1 ? " " : ""), $i; exit }' |
  head -c 60 | iconv -f UTF-8 -t UTF-8 -c) || true
[ -n "$prompt" ] || prompt="The "
generate=("$trireme" generate --model "$here/run" --max-new-tokens "$sample_tokens" --temperature 0.7)
"${generate[@]}" --seed 1 --prompt="$prompt"
echo

heading "What next"
mpi="mpirun -n 2 --oversubscribe --bind-to none"
[ "$(id -u)" -ne 0 ] || mpi="OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 $mpi"
threads=$(($(nproc) > 1 ? $(nproc) / 2 : 1))
cat <<END
In $PWD:

resume, to twice the steps
  $(command_line "${train[@]}" --run "$here/run" --steps $((2 * steps)))

train on 2 ranks
  $mpi $(command_line "${train[@]}" --run "$here/run-2-ranks" --steps "$steps" --threads "$threads")

generate
  $(command_line "${generate[@]}" --seed 2) --prompt=$(printf %q "$prompt")
END

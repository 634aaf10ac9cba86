#!/usr/bin/env bash
# checkpoints.sh [SAVES]: what saving and resuming cost `trireme train`, as Markdown: gpt2-124m in fp32, one rank, 4 x
# 256 tokens, SAVES (5) checkpoints of 1.5 GB.
#   stall   what training waited on steps that save (`checkpoint_seconds` of log.jsonl), and how much longer than the
#           median step the three steps behind it took, which share the machine with a save in the background
#   write   as many bytes by dd with fsync: what the disk can do
#   resume  from the start of the process to the end of its first step, less that step
# TRIREME_BUILD says where the build is (build/cpu-release), CHECKPOINTS_DIRECTORY where the runs go (TMPDIR; 8 GB for
# their time), TRIREME_TEST_DATA where tinyshakespeare.txt is. Ten minutes on 2 cores; CHECKPOINTS_MODEL=nano tries the
# script itself in seconds.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${TRIREME_BUILD:-build/cpu-release}/bin/trireme
text=${TRIREME_TEST_DATA:-../shared/data}/tinyshakespeare.txt
model=${CHECKPOINTS_MODEL:-gpt2-124m}
saves=${1:-5}
every=8 # a save is over before the next one: what is measured is a save, not two
fail() { echo "checkpoints.sh: $1" >&2 && exit "${2:-1}"; }
[ -x "$program" ] || fail "no $program: build the preset cpu-release" 2
[ -r "$text" ] || fail "no $text: set TRIREME_TEST_DATA to a folder with tinyshakespeare.txt" 2
work=$(mktemp -d ${CHECKPOINTS_DIRECTORY:+-p "$CHECKPOINTS_DIRECTORY"})
trap 'rm -rf "$work"' EXIT
export OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-SkylakeX} GOMP_SPINCOUNT=1000

train() { # STEPS OPTION...
  local steps=$1
  shift
  "$program" train --data "$work/data" --model "$model" --run "$work/run" --steps 100000 --stop-at-step "$steps" \
    --sequence-length 256 --global-batch-size 4 --log-every 1 --learning-rate 1e-4 --validate-every 0 --keep-last 2 \
    "$@" 2>>"$work/errors.txt" ||
    fail "train ended with $?: $(tail -n 3 "$work/errors.txt")"
}
raw_write() { # seconds of the bytes of the newest checkpoint, written and synced
  local start bytes newest
  newest=$(ls -d "$work"/run/checkpoints/step-* | tail -n 1)
  bytes=$(du -bs "$newest" | cut -f 1)
  start=$(date +%s.%N)
  head -c "$bytes" /dev/zero | dd of="$work/raw" bs=8M iflag=fullblock conv=fsync status=none
  echo "$bytes $start $(date +%s.%N)" >>"$work/raw.txt"
  rm "$work/raw"
}

"$program" prepare --input "$text" --output "$work/data" --tokenizer byte --validation-fraction 0 >/dev/null
train $((every * saves + every / 2)) --checkpoint-every $every
for _ in 1 2 3 4 5; do raw_write; done
cp "$work/run/log.jsonl" "$work/saves.jsonl"
for resume in 1 2 3; do # each trains two steps more
  steps=$((every * saves + every / 2 + 2 * resume))
  start=$(date +%s.%N)
  train $steps --checkpoint-every 0 &
  pid=$!
  until [ "$(wc -l <"$work/run/log.jsonl")" -ge $((steps - 1)) ] || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
  echo "$start $(date +%s.%N) $((steps - 1))" >>"$work/resumes.txt"
  wait $pid || exit 1
done
"$program" --version
python3 bench/checkpoints_table.py "$work/saves.jsonl" "$work/run/log.jsonl" "$work/raw.txt" "$work/resumes.txt"

#!/usr/bin/env bash
# plan.sh measured|published [ROUNDS]: how far predicted step times are from measured ones, as Markdown on standard output.
# TRIREME_BUILD says where the build is (build/cpu-release).
#   measured   in each of ROUNDS (3) rounds this machine is calibrated by one rank of two threads and by two ranks of one,
#              and steps of five layouts are timed, medians of 5, beside what the calibration of that round predicts; what a
#              shared machine does changes from minute to minute, so errors are those of one round. Four minutes a round on 2
#              cores with nothing else running. The bar: 20%.
#              PLAN_QUICK=1 tries the script itself in a minute: nano in place of gpt2-124m, `bench --calibrate --quick`.
#   published  steps of published runs, predicted by the shipped profile, beside what was published. Seconds.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin=${TRIREME_BUILD:-build/cpu-release}/bin
mode=${1:-}
rounds=${2:-3}
case $mode in measured | published) ;; *) echo "plan.sh: say what to do: plan.sh measured|published [ROUNDS]" >&2 && exit 2 ;; esac
for program in trireme layout_bench; do
  [ -x "$bin/$program" ] || { echo "plan.sh: no $bin/$program: cmake --preset cpu-release && cmake --build --preset cpu-release" >&2 && exit 2; }
done
quick=${PLAN_QUICK:+--quick}
gpt2="gpt2-124m of 4 layers"
[ -z "$quick" ] || gpt2=nano
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
results=$work/results.jsonl

export OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-SkylakeX} GOMP_SPINCOUNT=1000
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader # ranks of one host, by shared memory
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

# A line "NAME<tab>NOTE<tab>JSON" of a run.
record() { # NAME NOTE COMMAND...
  local name=$1 note=$2 start=$SECONDS line
  shift 2
  line=$("$@" 2>"$work/errors.txt") || { echo "plan.sh: $name failed" >&2 && cat "$work/errors.txt" >&2 && exit 1; }
  printf '%s\t%s\t%s\n' "$name" "$note" "$line" >>"$results"
  [ "$mode" = published ] || echo "$name, round $note: $((SECONDS - start)) s, load $(cut -d' ' -f1 /proc/loadavg)" >&2
}
calibrate() { # FILE THREADS COMMAND...
  local file=$1 threads=$2 start=$SECONDS
  shift 2
  "$@" "$bin/trireme" bench --calibrate $quick --threads "$threads" --output "$file" >"$work/peaks.txt" 2>"$work/errors.txt" ||
    { echo "plan.sh: calibrating failed" >&2 && cat "$work/errors.txt" >&2 && exit 1; }
  echo "calibrated $(basename "$file"): $((SECONDS - start)) s, load $(cut -d' ' -f1 /proc/loadavg)" >&2
}
# Each rank stays on its core: a rank that wanders takes the core of the other, and its caches with it.
two_ranks() { # NAME ROUND OPTION...
  local name=$1 round=$2
  shift 2
  OMP_NUM_THREADS=1 record "$name" "$round" mpirun --bind-to core -n 2 "$bin/layout_bench" \
    --calibration "$work/two.json" --steps 5 --profile 1 "$@"
}

measured() {
  local round model=(--model "${gpt2%% *}" --layers 4 --microbatch-size 1 --sequence-length 256)
  local llama=(--model bench/plan_models/llama-like.json --microbatch-size 2 --sequence-length 256)
  for round in $(seq "$rounds"); do
    calibrate "$work/one.json" 2 env
    OMP_NUM_THREADS=2 record "1 rank x 2 threads, $gpt2, 4 x 1 x 256" "$round" "$bin/layout_bench" \
      --calibration "$work/one.json" --steps 5 --profile 1 "${model[@]}" --microbatches 4
    calibrate "$work/two.json" 1 mpirun --bind-to core -n 2
    two_ranks "dp 2, ZeRO 1, $gpt2, 4 x 1 x 256 a rank" "$round" "${model[@]}" --microbatches 4
    two_ranks "tp 2, $gpt2, 4 x 1 x 256" "$round" "${model[@]}" --microbatches 4 --tensor-parallel 2
    two_ranks "pp 2, 1f1b, $gpt2, 8 x 1 x 256" "$round" "${model[@]}" --microbatches 8 --pipeline-parallel 2
    two_ranks "pp 2, zb-h1, llama-like of 6 layers, 8 x 2 x 256" "$round" "${llama[@]}" --microbatches 8 --pipeline-parallel 2 \
      --pipeline-schedule zb-h1
  done
}

# NAME, published tokens/s of a GPU or "TF" and model Tflop/s as Megatron counts them (attention in full), options.
run_of() { # NAME PUBLISHED RANKS OPTION...
  local name=$1 published=$2 ranks=$3
  shift 3
  record "$name" "$published" "$bin/layout_bench" --dry "$ranks" --first-ranks 1 --device cuda --precision bf16 \
    --calibration launch/profiles/h100.json "$@"
}
published() {
  local llama=(--model llama-8b --zero-stage 3 --recompute selective --microbatch-size 2 --sequence-length 8192)
  run_of "torchtitan Llama-3.1-8B, 8 GPUs (500 W, 2.4 TB/s), FSDP, compiled" 6667 8 "${llama[@]}"
  run_of "the same, 128 GPUs" 6514 128 "${llama[@]}"
  run_of "Megatron-LM 7.1B, 96 GPUs" TF465.9 96 --model bench/plan_models/megatron-7b.json --tensor-parallel 2 \
    --microbatch-size 2 --microbatches 4 --sequence-length 4096 --recompute selective
  run_of "Megatron-LM 70B, 768 GPUs" TF419.7 768 --model bench/plan_models/megatron-70b.json --tensor-parallel 8 \
    --pipeline-parallel 4 --microbatches 48 --sequence-length 4096 --recompute selective
  run_of "llm.c GPT-2 124M, 8 GPUs" 468000 8 --model gpt2-124m --microbatch-size 64 --sequence-length 1024
  run_of "llm.c GPT-2 1558M, 8 GPUs" 46800 8 --model gpt2-1558m --microbatch-size 16 --microbatches 8 --sequence-length 1024 \
    --recompute selective
}

$mode
[ -z "${PLAN_KEEP:-}" ] || cp "$results" "$PLAN_KEEP"
python3 bench/plan_table.py "$mode" "$results"

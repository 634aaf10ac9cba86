#!/usr/bin/env bash
# layouts.sh memory|speed|bars [ROUNDS]: what layouts of ranks need and how fast they are, as Markdown on standard output. TRIREME_BUILD
# says where the build is (build/cpu-release), LAYOUTS_MODEL the preset (gpt2-124m), LAYOUTS_LONG its longest sequence (1024).
#   memory  bytes of each kind on each rank, planned by dry runs of up to 8 ranks and held against arithmetic; then runs
#           of two ranks, planned bytes against resident ones. Two minutes, most of them the runs.
#   speed   tokens/s of one rank on one core and of two ranks on a core each, fp32, layout after layout in each of ROUNDS
#           (5) rounds, since what a shared machine does changes from minute to minute; ratios are those of one round. 25
#           minutes on 2 cores with nothing else running. Each run times one step: memory is touched before it.
#   bars    those of `speed` that are held against a bar: 11 minutes.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${TRIREME_BUILD:-build/cpu-release}/bin/layout_bench
model=${LAYOUTS_MODEL:-gpt2-124m}
long=${LAYOUTS_LONG:-1024}
mode=${1:-}
rounds=${2:-5}
case $mode in memory | speed | bars) ;; *) echo "layouts.sh: say what to do: layouts.sh memory|speed|bars [ROUNDS]" >&2 && exit 2 ;; esac
[ -x "$program" ] || { echo "layouts.sh: no $program: cmake --preset cpu-release && cmake --build --preset cpu-release" >&2 && exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
results=$work/results.jsonl

export OMP_NUM_THREADS=1 OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-SkylakeX} GOMP_SPINCOUNT=1000
export OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader # ranks of one host, by shared memory
if [ "$(id -u)" = 0 ]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi

fail() { echo "layouts.sh: $1 failed" >&2 && cat "$work/errors.txt" >&2 && exit 1; }

# A line "NAME<tab>ROUND<tab>JSON" of a run. Options come last.
record() { # NAME ROUND COMMAND...
  local name=$1 round=$2 start=$SECONDS line
  shift 2
  line=$("$@" 2>"$work/errors.txt") || fail "$name"
  printf '%s\t%s\t%s\n' "$name" "$round" "$line" >>"$results"
  [ "$round" = dry ] || echo "$name, $round: $((SECONDS - start)) s" >&2
}
plan() { # NAME RANKS OPTION...
  local name=$1 ranks=$2 B
  shift 2
  for B in 1 2 4; do
    record "$name" dry "$program" --model "$model" --dry "$ranks" --microbatches 8 --microbatch-size $B --sequence-length "$long" "$@"
  done
}
alone() { # NAME ROUND OPTION...
  local name=$1 round=$2
  shift 2
  record "$name" "$round" taskset -c 0 "$program" --model "$model" "$@"
}
# Each rank stays on its core: a rank that wanders takes the core of the other, and its caches with it.
ranks() { # COUNT NAME ROUND OPTION...
  local count=$1 name=$2 round=$3
  shift 3
  record "$name" "$round" mpirun --bind-to core -n "$count" "$program" --model "$model" "$@"
}
# Two programs that know nothing of each other, one on each core: what the machine leaves to two ranks.
strangers() { # NAME ROUND OPTION...
  local name=$1 round=$2 other status=0
  shift 2
  taskset -c 1 "$program" --model "$model" "$@" >"$work/other.json" 2>"$work/other_errors.txt" &
  other=$!
  alone "$name" "$round" "$@"
  wait $other || status=$?
  [ $status = 0 ] || fail "$name"
  printf '%s\t%s\t%s\n' "$name" "$round" "$(cat "$work/other.json")" >>"$results"
}

memory() {
  plan "one rank" 1
  plan "tp 2" 2 --tensor-parallel 2
  plan "pp 2" 2 --pipeline-parallel 2
  plan "pp 2, zb-h1" 2 --pipeline-parallel 2 --pipeline-schedule zb-h1
  local stage
  for stage in 0 1 2 3; do plan "dp 2, ZeRO $stage" 2 --zero-stage $stage; done
  plan "tp 2 x dp 2, ZeRO 1" 4 --tensor-parallel 2
  plan "tp 2 x pp 2" 4 --tensor-parallel 2 --pipeline-parallel 2
  plan "dp 2 x pp 2, ZeRO 2" 4 --pipeline-parallel 2 --zero-stage 2
  plan "dp 4, ZeRO 3" 4 --zero-stage 3
  plan "pp 4" 4 --pipeline-parallel 4
  plan "tp 2 x dp 2 x pp 2, ZeRO 1" 8 --tensor-parallel 2 --pipeline-parallel 2
  plan "tp 2 x dp 2 x pp 2, ZeRO 3" 8 --tensor-parallel 2 --pipeline-parallel 2 --zero-stage 3
  plan "tp 4 x dp 2, ZeRO 2" 8 --tensor-parallel 4 --zero-stage 2
  plan "dp 4 x pp 2, ZeRO 3, recompute selective" 8 --pipeline-parallel 2 --zero-stage 3 --recompute selective
  plan "dp 8, ZeRO 3" 8 --zero-stage 3
  local short=(--microbatch-size 1 --sequence-length 256 --steps 1 --warmup 1)
  alone "one rank" run "${short[@]}"
  ranks 2 "tp 2" run "${short[@]}" --tensor-parallel 2
  ranks 2 "pp 2" run "${short[@]}" --microbatches 2 --pipeline-parallel 2
  ranks 2 "pp 2, zb-h1" run "${short[@]}" --microbatches 2 --pipeline-parallel 2 --pipeline-schedule zb-h1
  for stage in 0 1 2 3; do ranks 2 "dp 2, ZeRO $stage" run "${short[@]}" --zero-stage $stage; done
}

speed() {
  local round
  local large=(--microbatch-size 4 --sequence-length "$long" --steps 1 --warmup 0)
  local small=(--microbatch-size 4 --sequence-length 256 --steps 1 --warmup 1)
  local many=(--microbatches 16 --microbatch-size 1 --sequence-length 256 --steps 1 --warmup 1)
  for round in $(seq "$rounds"); do
    alone "one rank, 4 x $long" "$round" "${large[@]}"
    ranks 2 "dp 2, ZeRO 1, 4 x $long a rank" "$round" "${large[@]}"
    ranks 2 "dp 2, ZeRO 0, 4 x $long a rank" "$round" "${large[@]}" --zero-stage 0
    strangers "two strangers, 4 x $long each" "$round" "${large[@]}"
    ranks 2 "tp 2, 4 x $long" "$round" "${large[@]}" --tensor-parallel 2
    alone "one rank, 16 of 1 x 256" "$round" "${many[@]}"
    ranks 2 "pp 2, 1f1b, 16 of 1 x 256" "$round" "${many[@]}" --pipeline-parallel 2
    ranks 2 "pp 2, zb-h1, 16 of 1 x 256" "$round" "${many[@]}" --pipeline-parallel 2 --pipeline-schedule zb-h1
    alone "one rank, 4 x 256" "$round" "${small[@]}"
    ranks 2 "tp 2, 4 x 256" "$round" "${small[@]}" --tensor-parallel 2
  done
}

bars() {
  local round
  local large=(--microbatch-size 4 --sequence-length "$long" --steps 1 --warmup 0)
  local many=(--microbatches 16 --microbatch-size 1 --sequence-length 256 --steps 1 --warmup 1)
  for round in $(seq "$rounds"); do
    alone "one rank, 4 x $long" "$round" "${large[@]}"
    ranks 2 "dp 2, ZeRO 1, 4 x $long a rank" "$round" "${large[@]}"
    alone "one rank, 16 of 1 x 256" "$round" "${many[@]}"
    ranks 2 "pp 2, 1f1b, 16 of 1 x 256" "$round" "${many[@]}" --pipeline-parallel 2
    ranks 2 "tp 2, 4 x $long" "$round" "${large[@]}" --tensor-parallel 2
  done
}

$mode
[ -z "${LAYOUTS_KEEP:-}" ] || cp "$results" "$LAYOUTS_KEEP"
python3 bench/layouts_table.py "${mode/bars/speed}" "$results"

#!/usr/bin/env bash
# gpu_check.sh correct|kernels|train [OUTPUT_DIRECTORY]: what only a machine with an NVIDIA GPU can show, each in under nine
# minutes. It needs a bundle (it lies in one) or a build of the preset cuda (TRIREME_BUILD says where), and goes on after a
# failure; exit 1 if anything failed. OUTPUT_DIRECTORY (results/ beside this script) gets gpu_MODE.json, gpu_MODE.md and gpu_MODE.log,
# what the steps said: three files, for machines from which few come back.
#   correct  versions, ceilings, the tests of ops and models on the GPU (fresh inputs, poisoned outputs), the same under
#            compute-sanitizer with small shapes, runs of `trireme train`: two bit-equal ones, and one as on the CPU
#   kernels  every op: time, bytes/s or flop/s, % of the ceiling (ops_bench), a process a family: an error of CUDA stays with a
#            process, and costs one family only
#   train    tokens/s and mfu of gpt2-124m and gpt2-1558m with 1,024 tokens in bf16, beside PyTorch where there is one
#            (PYTHON, default python3), and 20 losses equal to PyTorch's from the same weights
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fail() { echo "gpu_check.sh: $1" >&2 && exit "${2:-1}"; }

[ -e /proc/driver/nvidia/version ] || nvidia-smi -L >/dev/null 2>&1 || fail "this machine has no NVIDIA GPU with a driver"
mode=${1:-}
case $mode in correct | kernels | train) ;; *) fail "say what to do: gpu_check.sh correct|kernels|train [OUTPUT_DIRECTORY]" 2 ;; esac

if [ -x "$here/run.sh" ]; then # a bundle
  programs=$here/bin
  run() { "$here/run.sh" "$@"; }
else
  programs=${TRIREME_BUILD:-$here/../build/cuda}/bin
  run() {
    local program=$1
    shift
    ${TRIREME_RUN_UNDER:-} "$programs/$program" "$@"
  }
fi
[ -x "$programs/trireme" ] || fail "no programs in $programs: cmake --preset cuda && cmake --build --preset cuda"
version=$(run trireme --version 2>&1) || fail "trireme does not start: $version"
case $version in
  *"built without CUDA"*) fail "this trireme was built without CUDA: use the preset cuda or its bundle" ;;
  *"no device"*) fail "no GPU can be used: $(grep 'no device' <<<"$version")" ;;
esac

out=${2:-$here/results}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" && out=$(cd "$out" && pwd) || fail "cannot write to $out"
log=$out/gpu_$mode.log
: >"$log" || fail "cannot write to $out"
python=${PYTHON:-python3}
deadline=$((SECONDS + 520)) # of nine minutes
export TRIREME_CACHE_DIR=$work/cache # matrix products are tuned once for all steps, and anew each time
pytorch_version=$(timeout 60 "$python" -c 'import torch
assert torch.cuda.is_available()
print("PyTorch", torch.__version__, "cuDNN", torch.backends.cudnn.version())' 2>/dev/null) || pytorch_version=
passed=0 failed=0 skipped=0
: >"$work/steps.md" && : >"$work/steps.json"

# The functions of this script are called through `timeout`, which runs programs alone.
export -f run
export here programs work python pytorch_version

result() { # NAME passed|failed|skipped SECONDS
  case $2 in passed) passed=$((passed + 1)) ;; failed) failed=$((failed + 1)) ;; skipped) skipped=$((skipped + 1)) ;; esac
  echo "| $1 | $2 | $3 |" >>"$work/steps.md"
  echo "{\"name\": \"$1\", \"result\": \"$2\", \"seconds\": $3}" >>"$work/steps.json"
  echo "== $1: $2 ($3 s)"
}

step() { # NAME SECONDS COMMAND...: passed, failed or (exit 77) skipped
  local name=$1 seconds=$2 started=$SECONDS left=$((deadline - SECONDS)) status
  shift 2
  printf '\n== %s\n' "$name" | tee -a "$log"
  [ "$left" -ge 10 ] || { echo "no time is left" | tee "$work/step.log" | tee -a "$log" && result "$name" "$when_late" 0 && return; }
  timeout --kill-after=5 $((seconds < left ? seconds : left)) bash -c '"$@"' bash "$@" 2>&1 | tee "$work/step.log" | tee -a "$log"
  status=${PIPESTATUS[0]}
  [ "$status" -ne 137 ] || [ $((SECONDS - started)) -lt $((seconds < left ? seconds : left)) ] || status=124 # and had to be killed
  case $status in
    0) result "$name" passed $((SECONDS - started)) ;;
    77) result "$name" skipped $((SECONDS - started)) ;;
    124)
      echo "not done after $((SECONDS - started)) s" | tee -a "$log"
      result "$name" "$when_late" $((SECONDS - started))
      ;;
    *) result "$name" failed $((SECONDS - started)) ;;
  esac
}

when_late=failed
comparison() { # as step; what others do not finish in time is no failure of ours
  when_late=skipped
  step "$@"
  when_late=failed
}

versions() {
  run trireme --version || return
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader
  ldd --version | head -n 1
  echo "${pytorch_version:-no PyTorch with CUDA}"
}

tests_of() { # PROGRAM GTEST_OPTION...
  local program=$1
  shift
  [ -x "$programs/$program" ] || { echo "SKIPPED: there is no $program here" && return 77; }
  run "$program" --gtest_brief=1 "$@"
}

sanitized() { # TOOL: a few small shapes of each op; what it says of threads is not asked of products, cuBLAS's kernels
  local sanitizer output status but='*LargeVocabulary*'
  [ "$1" = memcheck ] || but="$but:*Linear*"
  for sanitizer in compute-sanitizer /usr/local/cuda/bin/compute-sanitizer /opt/nvidia/compute-sanitizer/compute-sanitizer; do
    command -v "$sanitizer" >/dev/null && break
  done
  command -v "$sanitizer" >/dev/null || { echo "SKIPPED: there is no compute-sanitizer" && return 77; }
  output=$work/$1.txt
  TRIREME_RUN_UNDER="$sanitizer --tool $1 --error-exitcode 9" run cuda_op_tests --gtest_brief=1 \
    --gtest_filter='*Float64*:*NotFinite*:*CachedSteps*:*FollowsTheCounterLayout*:*SplitVocabulary*'"-$but" \
    >"$output" 2>&1
  status=$?
  tail -n 40 "$output"
  if [ $status -ne 0 ] && grep -Eq 'Device not supported|LibraryNotLoaded|Unable to find|not permitted|error 999' "$output"; then
    echo "SKIPPED: this machine refuses compute-sanitizer" && return 77
  fi
  return $status
}

train() { # RUN TRIREME_OPTION...: 20 steps of the smallest preset
  local name=$1
  shift
  run trireme train --data "$work/data" --model nano --run "$work/$name" --steps 20 --sequence-length 128 --global-batch-size 8 \
    --log-every 1 --resume never --learning-rate 1e-3 "$@"
}

prepared() { # the text is as good as any, and always there
  [ -d "$work/data" ] || run trireme prepare --input "$here/gpu_check.sh" --output "$work/data" --tokenizer byte --validation-fraction 0
}

bit_equal() { # PRECISION: two runs
  prepared && train "$1-a" --device cuda --precision "$1" && train "$1-b" --device cuda --precision "$1" || return
  local last
  last=$(ls "$work/$1-a/checkpoints" | grep '^step-' | tail -n 1)
  run trireme checkpoint diff "$work/$1-a/checkpoints/$last" "$work/$1-b/checkpoints/$last"
}

losses() { sed -n 's/.*"loss": *\([0-9.eE+-]*\).*/\1/p' "$work/$1/log.jsonl"; }

as_on_the_cpu() { # sums in another order, 20 steps long: a thousandth of the loss is ten times what was ever seen of it
  prepared && train cpu --device cpu --precision fp32 && train cuda --device cuda --precision fp32 || return
  paste <(losses cpu) <(losses cuda) | awk '{ d = ($1 - $2) / $1; if (d < 0) d = -d; if (!(d <= most)) most = d; n++ }
    END { printf "%d losses, largest relative distance %.2g\n", n, most; exit !(n == 20 && most <= 1e-3) }'
}

kernels() { # FAMILY FILTER: rows count as far as they were made, the JSON only when all were
  run ops_bench --device cuda --table "$work/ops-$1.md" --benchmark_filter="$2" --benchmark_out="$work/part.json" \
    --benchmark_out_format=json && mv "$work/part.json" "$work/ops-$1.json"
}

known='' # of the families before
family() { # NAME SECONDS FILTER: the filter - takes what no family before it took
  local filter=$3
  [ "$filter" != - ] || filter=-$known
  known=$known${known:+|}$3
  step "$1" "$2" kernels "${1//[^a-z]/-}" "$filter"
}

number() { # KEY FILE: of one JSON object
  sed -n 's/.*"'"$1"'": \([0-9.eE+-]*\).*/\1/p' "$2" | head -n 1
}

ours() { # MODEL BATCH WARMUP STEPS
  run step_bench --device cuda --precision bf16 --model "$1" --batch "$2" --sequence-length 1024 --warmup "$3" --steps "$4" \
    --json "$work/train-$1-trireme.json"
}

has_pytorch() {
  [ -n "$pytorch_version" ] || { echo "SKIPPED: $python has no PyTorch with CUDA" && return 77; }
}

pytorch() { # MODEL BATCH MODE ATTENTION OPTION...
  local model=$1 batch=$2 mode=$3 attention=$4
  shift 4
  has_pytorch || return
  "$python" "$here/gpu_pytorch.py" time --model "$model" --batch "$batch" --mode "$mode" --attention "$attention" "$@" \
    --json "$work/train-$model-pytorch-$mode-$attention.json"
}

equal_losses() { # twenty steps on one batch
  has_pytorch || return
  run step_bench --device cuda --precision bf16 --model gpt2-124m --batch 4 --sequence-length 1024 --warmup 0 --steps 20 \
    --learning-rate 1e-4 --export "$work/start" && "$python" "$here/gpu_pytorch.py" losses --start "$work/start" --json "$work/losses.json"
}

train_table() { # a row a program; mfu of all against the same two ceilings
  local file flops peak rate program name=${1:-}
  echo "| model | tokens a step | program | tokens/s | ms a step | mfu, product of 8192^3 | mfu, data sheet (989 Tflop/s) |"
  echo "|---|---|---|---|---|---|---|"
  for file in "$work"/train-*.json; do
    [ -e "$file" ] || continue
    rate=$(number tokens_per_second "$file") flops=$(number flops_per_token "$file")
    name=$(sed -n 's/.*"model": "\([^"]*\)".*/\1/p' "$file")
    program=$(sed -n 's/.*"program": "\([^"]*\)".*/\1/p' "$file")
    peak=$(number 'bf16 product of 8192^3' "$work/train-$name-trireme.json" 2>/dev/null) # mfu of ours, of which the ceiling follows
    awk -v name="$name" -v batch="$(number batch "$file")" -v program="${program:-Trireme}" -v rate="$rate" -v flops="$flops" \
      -v seconds="$(number step_seconds "$file")" -v mfu="${peak:-0}" \
      -v ours="$(number tokens_per_second "$work/train-$name-trireme.json" 2>/dev/null)" 'BEGIN {
        product = ours > 0 ? sprintf("%.1f%%", 100 * mfu * rate / ours) : ""
        printf "| %s | %d x 1024 | %s | %.0f | %.1f | %s | %.1f%% |\n", name, batch, program, rate, 1e3 * seconds, product, 100 * rate * flops / 989e12 }'
  done
}

ceilings() { # LOG: "product, 4096^3, Gflop/s": NUMBER, ...
  grep -oE '[0-9.]+ (Gflop/s|GB/s) \([^)]*\)' "$1" | sed -E 's/^([0-9.]+) ([^ ]+) \((.*)\)$/"\3, \2": \1/' | paste -sd,
}

joined() { # FILE...: JSON objects with commas between them
  local file between=''
  for file in "$@"; do printf '%s' "$between" && cat "$file" && between=,; done
}

export -f versions tests_of sanitized train prepared bit_equal losses as_on_the_cpu kernels number ours has_pytorch pytorch equal_losses

step "versions" 10 versions
case $mode in
  correct)
    step "ceilings" 60 run ops_bench --device cuda --peaks
    cp "$work/step.log" "$work/ceilings.log"
    step "tests of ops" 150 tests_of cuda_op_tests
    step "tests of models" 90 tests_of cuda_model_tests
    step "two runs are bit-equal, bf16" 40 bit_equal bf16
    step "two runs are bit-equal, fp32" 40 bit_equal fp32
    step "20 losses as on the CPU, fp32" 60 as_on_the_cpu
    for tool in memcheck racecheck synccheck; do step "compute-sanitizer $tool" 80 sanitized $tool; done
    ;;
  kernels) # 470 s
    family "linear forward" 110 '^linear_forward'
    family "linear backward" 110 '^linear_backward'
    family "attention" 70 '^(attention|cached_attention|rope|fill_rope)'
    family "norms" 30 '^(layer|rms)_norm'
    family "activations" 30 '^(gelu|swiglu|dropout)'
    family "loss" 30 '^loss'
    family "embedding" 30 '^(embedding|fill_positions)'
    family "adamw" 30 '^adamw'
    family "other ops" 30 -
    ;;
  train) # 479 s, some 20 until here; what is compiled second finds much of it in PyTorch's cache
    step "gpt2-124m, Trireme" 45 ours gpt2-124m 32 20 50
    step "gpt2-1558m, Trireme" 70 ours gpt2-1558m 16 5 15
    step "20 losses equal to PyTorch's" 90 equal_losses
    [ -z "$pytorch_version" ] || cp "$work/step.log" "$work/losses.log"
    for attention in cudnn default; do
      first=$([ $attention = default ] || echo 15)
      comparison "gpt2-124m, PyTorch compiled, attention $attention" $((40 + first)) pytorch gpt2-124m 32 compile $attention
      comparison "gpt2-1558m, PyTorch compiled, attention $attention" $((35 + first)) pytorch gpt2-1558m 16 compile $attention \
        --compile-blocks --warmup 5 --steps 15
    done
    for attention in cudnn default; do
      comparison "gpt2-124m, PyTorch eager, attention $attention" 20 pytorch gpt2-124m 32 eager $attention
      comparison "gpt2-1558m, PyTorch eager, attention $attention" 27 pytorch gpt2-1558m 16 eager $attention --warmup 5 --steps 15
    done
    ;;
esac

date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)
summary="$passed passed, $failed failed, $skipped skipped"
{
  printf '# gpu_check.sh %s: %s\n%s; %s, driver %s\n```\n%s\n```\n\n' "$mode" "$summary" "$date" "${gpu:-unknown GPU}" "${driver:-unknown}" "$version"
  [ ! -e "$work/ceilings.log" ] || cat "$work/ceilings.log"
  for table in "$work"/ops-*.md; do [ ! -e "$table" ] || { cat "$table" && echo; }; done
  [ "$mode" != train ] || train_table
  [ ! -e "$work/losses.log" ] || { echo && cat "$work/losses.log"; }
  printf '\n| step | result | seconds |\n|---|---|---|\n' && cat "$work/steps.md"
} >"$out/gpu_$mode.md"
{
  printf '{"date": "%s", "mode": "%s", "gpu": "%s", "driver": "%s",\n "version": "%s",\n "steps": [%s]' "$date" "$mode" "$gpu" "$driver" \
    "$(tr '\n"\\' '; ' <<<"$version" | sed 's/; *$//')" "$(paste -sd, "$work/steps.json")"
  [ ! -e "$work/ceilings.log" ] || printf ',\n "ceilings": {%s}' "$(ceilings "$work/ceilings.log")"
  if ls "$work"/ops-*.json >/dev/null 2>&1; then printf ',\n "ops": [' && joined "$work"/ops-*.json && printf ']'; fi
  [ ! -e "$work/losses.json" ] || { printf ',\n "losses": ' && cat "$work/losses.json"; }
  if ls "$work"/train-*.json >/dev/null 2>&1; then printf ',\n "train": [' && joined "$work"/train-*.json && printf ']'; fi
  echo '}'
} >"$out/gpu_$mode.json"
echo && cat "$out/gpu_$mode.md"
printf '\n%s: %s\n' "$out/gpu_$mode.md" "$summary"
[ $failed -eq 0 ]

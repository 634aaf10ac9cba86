#!/usr/bin/env bash
# gpu_check_test.sh: bench/gpu_check.sh where there is no GPU, and with programs that only pretend to use one: what it counts,
# what it writes, and that it goes on after a failure.
set -u
source_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
script=$source_root/bench/gpu_check.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

pretend() { # PATH: the rest of the program on standard input
  mkdir -p "$(dirname "$work/$1")"
  { echo '#!/bin/bash' && cat; } >"$work/$1"
  chmod +x "$work/$1"
}

expect() { # WHAT STATUS OUTPUT_PATTERN ARGUMENT...: of the script
  local what=$1 status=$2 pattern=$3 output got
  shift 3
  output=$(PATH=$work/path:/usr/bin:/bin TRIREME_BUILD=$work/build PYTHON=$work/path/python3 "$script" "$@" 2>&1)
  got=$?
  if [ $got -ne "$status" ] || [[ $output != $pattern ]]; then
    echo "$what: exit $got, output '$output'" && failures=$((failures + 1))
  fi
}

expect_json() { # MODE EXPRESSION: of the results, in Python
  /usr/bin/python3 -c 'import json, sys; of = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$work/out/gpu_$1.json" "$2" ||
    { echo "gpu_$1.json: not $2: $(cat "$work/out/gpu_$1.json")" && failures=$((failures + 1)); }
}

expect_line() { # FILE PATTERN
  grep -Eq -- "$2" "$work/out/$1" || { echo "$1: no line '$2' in: $(cat "$work/out/$1")" && failures=$((failures + 1)); }
}

if [ ! -e /proc/driver/nvidia/version ]; then
  pretend path/nvidia-smi <<<'exit 9'
  expect "no GPU: one line" 1 'gpu_check.sh: this machine has no NVIDIA GPU with a driver' correct
fi
pretend path/nvidia-smi <<<'echo "NVIDIA H200"'
expect "no mode" 2 'gpu_check.sh: say what to do: *'
expect "unknown mode" 2 'gpu_check.sh: say what to do: *' fast
expect "no programs" 1 "gpu_check.sh: no programs in $work/build/bin: cmake --preset cuda*" correct
pretend build/bin/trireme <<<'echo "built without CUDA (TRIREME_CUDA=ON turns it on)"'
expect "built without CUDA" 1 'gpu_check.sh: this trireme was built without CUDA*' correct
pretend build/bin/trireme <<<'echo "CUDA runtime 13.0, no device (no driver)"'
expect "no driver" 1 'gpu_check.sh: no GPU can be used: *' correct

# Everything answers; PyTorch and tests of models are not there, and the machine refuses compute-sanitizer.
pretend path/python3 <<<'exit 1'
pretend path/compute-sanitizer <<<'echo "Error: Device not supported"; exit 1'
pretend build/bin/trireme <<'END'
case $1 in
  --version) echo "trireme 0.1.0 (\"abc\")" && echo "CUDA runtime 13.0, 1 device" ;;
  prepare) mkdir -p "${@:5:1}" ;;
  train)
    while [ $# -gt 0 ]; do case $1 in --run) run=$2 ;; --device) device=$2 ;; esac && shift; done
    mkdir -p "$run/checkpoints/step-000000020"
    for i in $(seq 20); do echo "{\"step\": $i, \"loss\": ${LOSS_PREFIX:-}5.5}"; done >"$run/log.jsonl"
    ;;
esac
END
pretend build/bin/cuda_op_tests <<<'mkdir -p "$TRIREME_CACHE_DIR" && echo "[  PASSED  ]"'
pretend build/bin/ops_bench <<'END'
while [ $# -gt 0 ]; do
  case $1 in --table) table=$2 ;; --benchmark_filter=*) filter=${1#*=} ;; --benchmark_out=*) json=${1#*=} ;; esac
  shift
done
[ -z "$table" ] || echo "| $filter | 1 |" >"$table"
[ -z "$json" ] || echo '{"benchmarks": [' >"$json"
[ "$filter" != "${LOST_FAMILY:-none}" ] || kill -9 $$
[ -z "$json" ] || echo ']}' >>"$json"
echo 'Ceilings: 2.5 Gflop/s (bf16 product, 8192^3), 1 Gflop/s (fp32 product, 4096^3), 4 GB/s (copy, read and written).'
END
pretend build/bin/step_bench <<'END'
while [ $# -gt 0 ]; do case $1 in --model) model=$2 ;; --json) json=$2 ;; --export) mkdir -p "$2" ;; esac && shift; done
[ -z "$json" ] || cat >"$json" <<JSON
{"model": "$model", "batch": 32, "sequence_length": 1024, "precision": "bf16", "device": "cuda",
 "step_seconds": 0.05, "tokens_per_second": 655360, "flops_per_token": 8.6e+08, "mfu": {"bf16 product of 8192^3": 0.7, "data sheet of H100 and H200, bf16": 0.57}}
JSON
END
expect "correct" 0 '*: 6 passed, 0 failed, 4 skipped' correct "$work/out"
expect_line gpu_correct.md '^# gpu_check.sh correct: 6 passed, 0 failed, 4 skipped'
expect_line gpu_correct.md 'Ceilings: 2.5 Gflop/s'
expect_line gpu_correct.json '"ceilings": \{"bf16 product, 8192\^3, Gflop/s": 2.5,"fp32 product, 4096\^3, Gflop/s": 1,"copy, read and written, GB/s": 4\}'
expect_line gpu_correct.md '^\| compute-sanitizer memcheck \| skipped \|'
expect "kernels" 0 '*: 10 passed, 0 failed, 0 skipped' kernels "$work/out"
expect_line gpu_kernels.md '^\| \^loss \| 1 \|'
expect_line gpu_kernels.md '^\| -\^linear_forward\|\^linear_backward\|.*\^adamw \| 1 \|'
expect_json kernels 'len(of["ops"]) == 9'
expect "train" 0 '*: 3 passed, 0 failed, 9 skipped' train "$work/out"
expect_line gpu_train.md '^\| gpt2-1558m \| 32 x 1024 \| Trireme \| 655360 \| 50.0 \| 70.0% \| 57.0% \|'
expect_json correct 'len(of["steps"]) == 10'
expect_json train 'len(of["train"]) == 2 and "losses" not in of'
files=$(cd "$work/out" && echo *)
[ "$files" = "$(echo gpu_{correct,kernels,train}.{json,log,md})" ] || { echo "files: $files" && failures=$((failures + 1)); }

# A test fails, a run differs: the rest goes on, and it shows.
pretend build/bin/cuda_op_tests <<<'echo "[  FAILED  ]"; exit 1'
sed -i 's/${LOSS_PREFIX:-}/$([ $device = cuda ] \&\& echo 1)/' "$work/build/bin/trireme"
expect "failures" 1 '*: 4 passed, 2 failed, 4 skipped' correct "$work/out"
expect_line gpu_correct.md '^\| tests of ops \| failed \|'
expect_line gpu_correct.md '^\| 20 losses as on the CPU, fp32 \| failed \|'
# A family that ends its process keeps its rows and costs no other.
export LOST_FAMILY=^loss
expect "a lost family" 1 '*: 9 passed, 1 failed, 0 skipped' kernels "$work/out"
expect_line gpu_kernels.md '^\| \^loss \| 1 \|'
expect_line gpu_kernels.md '^\| loss \| failed \|'
expect_json kernels 'len(of["ops"]) == 8'
unset LOST_FAMILY
# A sanitizer that finds something fails; one that the machine refuses is skipped.
pretend path/compute-sanitizer <<<'[ "$2" = memcheck ] && exit 9; echo "Error: Device not supported"; exit 1'
expect "sanitizers" 1 '*: 4 passed, 3 failed, 3 skipped' correct "$work/out"
# Products are cuBLAS's: only memcheck looks at them.
pretend path/compute-sanitizer <<<'case "$2:$*" in memcheck:*Linear*) exit 9 ;; memcheck:*) ;; *-*:?Linear*) ;; *) exit 9 ;; esac'
expect "products under sanitizers" 1 '*: 7 passed, 2 failed, 1 skipped' correct "$work/out"

# PyTorch is there; one of its runs fails, and one is not asked for more than its time.
pretend path/python3 <<'END'
[ "$1" != -c ] || { [[ $2 != *torch* ]] || echo "PyTorch 2.11 cuDNN 9"; exit 0; }
what=$2
while [ $# -gt 0 ]; do case $1 in --model) model=$2 ;; --mode) mode=$2 ;; --attention) attention=$2 ;; --json) json=$2 ;; esac && shift; done
case $what:$mode:$attention:$model in
  losses:*) echo '{"distance": 0.001}' >"$json" && echo "largest distance 0.001" && exit ;;
  *:eager:cudnn:gpt2-124m) exit 1 ;;
  *:eager:default:gpt2-124m) exit 124 ;; # as from timeout
esac
echo "{\"model\": \"$model\", \"batch\": 32, \"program\": \"PyTorch 2.11, $mode, attention $attention\", \"step_seconds\": 0.1, \"tokens_per_second\": 327680, \"flops_per_token\": 8.6e+08}" >"$json"
END
expect "PyTorch" 1 '*: 10 passed, 1 failed, 1 skipped' train "$work/out"
expect_line gpu_train.md '^\| gpt2-124m \| 32 x 1024 \| PyTorch 2.11, compile, attention cudnn \| 327680 \| 100.0 \| 35.0% \| 28.5% \|'
expect_line gpu_train.md '^\| gpt2-124m, PyTorch eager, attention default \| skipped \|'
expect_line gpu_train.md '^largest distance 0.001'
expect_json train 'len(of["train"]) == 8 and of["losses"]["distance"] == 0.001'

# In a bundle programs are started by its run.sh, which says what the machine lacks.
mkdir "$work/bundle"
cp "$script" "$source_root/launch/bundle/run.sh" "$work/bundle"
cp -r "$work/build/bin" "$work/bundle/bin"
script=$work/bundle/gpu_check.sh
expect "bundle" 0 "*$work/bundle/results/gpu_kernels.md: 10 passed, 0 failed, 0 skipped" kernels
if command -v cc >/dev/null; then
  library() { # FILE SONAME VERSION: f@VERSION
    echo "$3 { global: f; };" >"$work/versions"
    echo 'int f(void) { return 0; }' | cc -shared -fPIC -Wl,-soname,"$2" -Wl,--version-script,"$work/versions" -xc - -o "$1"
  }
  links() { echo 'int f(void); int main(void) { return f(); }' | cc -xc - -xnone "$1" -o "$work/bundle/bin/trireme"; }
  mkdir "$work/bundle/lib"
  library "$work/bundle/lib/libcudart.so.99" libcudart.so.99 CUDA_99 && links "$work/bundle/lib/libcudart.so.99" # of no machine
  "$work/bundle/run.sh" trireme || { echo "a program with all its libraries does not run" && failures=$((failures + 1)); }
  mv "$work/bundle/lib/libcudart.so.99" "$work/away"
  expect "no CUDA libraries" 1 "*run.sh: trireme does not find libcudart.so.99; CUDA 13's libraries are needed: *" kernels
  library "$work/bundle/lib/libold.so.1" libold.so.1 GLIBC_9.99 && links "$work/bundle/lib/libold.so.1"
  library "$work/bundle/lib/libold.so.1" libold.so.1 GLIBC_9.1
  expect "old glibc" 1 "*run.sh: this machine's glibc is too old for trireme: 2.36 or newer is needed*" kernels
fi
[ $failures -eq 0 ]

#!/usr/bin/env bash
# step_losses.sh STEP_BENCH: bench/gpu_pytorch.py judges a run of step_bench on the CPU, as it judges one on the GPU there: the
# smallest preset, both precisions, and a loss that is wrong by a thousandth. Exit 77 where there is no PyTorch.
set -u
step_bench=$1
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$("$tests/venv.sh" --find) || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for precision in bf16 fp32; do
  "$step_bench" --model nano --batch 4 --sequence-length 64 --precision $precision --warmup 0 --steps 20 --learning-rate 1e-3 \
    --export "$work/$precision" || exit 1
done
cp -r "$work/fp32" "$work/wrong"
sed -i 's/"losses": \[\([0-9.]*\),/"losses": [5.565,/' "$work/wrong/start.json" # by N(0, 0.02) weights it is ln 256 = 5.55

# One process for all that it is asked: starting PyTorch takes longer than an answer.
"$python" - "$tests/../bench" "$work" <<'END'
import sys

bench, work = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, bench)
import gpu_pytorch


def run(*words):
    sys.argv = ["gpu_pytorch.py", *words, "--device", "cpu"]
    return gpu_pytorch.main()


def judge(name):
    return run("losses", "--start", f"{work}/{name}")


assert judge("bf16") == 0
assert judge("fp32") == 0
assert judge("wrong") == 1, "a wrong loss is taken"
assert run(*"time --model tiny --batch 2 --sequence-length 32 --warmup 1 --steps 2".split()) == 0
END

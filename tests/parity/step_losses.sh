#!/usr/bin/env bash
# step_losses.sh STEP_BENCH: bench/gpu_pytorch.py judges a run of step_bench on the CPU, as it judges one on the GPU there: the
# smallest preset, both precisions, and a loss that is wrong by a thousandth. Exit 77 where there is no PyTorch.
set -u
step_bench=$1
tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$("$tests/venv.sh" --find) || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
judge() { "$python" "$tests/../bench/gpu_pytorch.py" losses --device cpu --start "$work"; }

for precision in bf16 fp32; do
  "$step_bench" --model nano --batch 4 --sequence-length 64 --precision $precision --warmup 0 --steps 20 --learning-rate 1e-3 \
    --export "$work" && judge || exit 1
done
sed -i 's/"losses": \[\([0-9.]*\),/"losses": [5.565,/' "$work/start.json" # by N(0, 0.02) weights it is ln 256 = 5.55
! judge || { echo "a wrong loss is taken" && exit 1; }
"$python" "$tests/../bench/gpu_pytorch.py" time --device cpu --model tiny --batch 2 --sequence-length 32 --warmup 1 --steps 2

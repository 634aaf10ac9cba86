#!/usr/bin/env bash
# gpt2_124m_cpu.sh [PROGRAM]: 50 steps of gpt2-124m at 4 x 256 tokens in fp32 on this machine's CPU. Prints the median tokens/s of
# steps 5 to 50, the largest resident memory of the process (VmHWM) and how far resident memory moved between steps 5 and 50.
# The bars: under 3.0 GB, flat. Text: TRIREME_TEST_DATA (default ../shared/data) tinyshakespeare, as bytes. About four minutes.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${1:-build/cpu-release/bin/trireme}
text=${TRIREME_TEST_DATA:-../shared/data}/tinyshakespeare.txt
[ -r "$text" ] || { echo "gpt2_124m_cpu.sh: no $text: set TRIREME_TEST_DATA to a folder with tinyshakespeare.txt" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$program" prepare --input "$text" --output "$work/data" --tokenizer byte --validation-fraction 0 >"$work/prepare.txt"
"$program" train --data "$work/data" --model gpt2-124m --run "$work/run" --steps 50 --sequence-length 256 \
  --global-batch-size 4 --log-every 1 --learning-rate 1e-4 --checkpoint-every 0 2>"$work/train.txt" &
pid=$!
resident_kb() { sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$pid/status" 2>/dev/null || true; }
while kill -0 $pid 2>/dev/null; do # steps done, resident kB now, largest so far
  steps=$(cat "$work/run/log.jsonl" 2>/dev/null | wc -l)
  now=$(resident_kb VmRSS)
  [ -z "$now" ] || echo "$steps $now $(resident_kb VmHWM)" >>"$work/memory.txt"
  sleep 0.5
done
wait $pid || { cat "$work/train.txt" >&2; exit 1; }

sed -n '1,2p' "$work/train.txt"
sed 's/.*"tokens_per_second": \([0-9.]*\).*/\1/' "$work/run/log.jsonl" | sed -n '5,50p' | sort -n |
  awk '{ value[NR] = $1 } END { printf "tokens/s, steps 5 to 50: median %.0f (%.0f to %.0f)\n", value[int((NR + 1) / 2)], value[1], value[NR] }'
awk '$1 >= 5 && $1 < 49 { if (!low || $2 < low) low = $2; if ($2 > high) high = $2 } { peak = $3 }
  END { printf "resident: largest %.3f GB; steps 6 to 49: %.3f to %.3f GB, %.1f MB apart\n",
        peak * 1024 / 1e9, low * 1024 / 1e9, high * 1024 / 1e9, (high - low) * 1024 / 1e6 }' "$work/memory.txt"

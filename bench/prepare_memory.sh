#!/usr/bin/env bash
# Peak resident memory and speed of `trireme prepare` for texts of growing length: one file, many
# documents, .jsonl.zst. Memory must not grow with the text.
# usage: [TOKENIZER=byte] bench/prepare_memory.sh PROGRAM [WORK_DIRECTORY] [SIZES_IN_MB...]
# MB/s: text over wall time, both passes together; CPU s: of all threads.
set -euo pipefail
program=$1
work=$(mktemp -d "${2:-/tmp}/prepare-memory-XXXXXX")
trap 'rm -rf "$work"' EXIT
shift $(( $# < 2 ? $# : 2 ))
sizes=("$@")
[ ${#sizes[@]} -gt 0 ] || sizes=(10 200 2000)

python3 - "$work" <<'PYTHON'
import random, sys
random.seed(1)
words = [''.join(random.choices('etaoinshrdlucmfw', k=random.randint(1, 9))) for _ in range(20000)]
with open(sys.argv[1] + '/10mb.txt', 'w') as out:
    size = 0
    while size < 10_000_000:
        line = ' '.join(random.choices(words, k=random.randint(3, 30))).capitalize() + '.\n'
        out.write(line)
        size += len(line)
PYTHON

make_text() {  # MB FILE
  for _ in $(seq $(( $1 / 10 ))); do cat "$work/10mb.txt"; done > "$2"
}

make_rows() {  # MB FILE: rows of a few lines each, all different
  make_text "$1" /dev/stdout | python3 -c '
import json, sys
lines = []
for number, line in enumerate(sys.stdin):
    lines.append(line)
    if len(lines) == 20:
        print(json.dumps({"id": number, "text": "".join(lines)}))
        lines = []
' | zstd -q -o "$2"
}

measure() {  # LABEL MB THREADS INPUT [OPTIONS...]
  local label=$1 mb=$2 threads=$3 input=$4
  shift 4
  rm -rf "$work/out"
  python3 - "$label" "$mb" "$threads" "$program" prepare --input "$input" --output "$work/out" --tokenizer "${TOKENIZER:-byte}" "$@" <<'PYTHON'
import os, resource, subprocess, sys, time
label, mb, threads, *command = sys.argv[1:]
command += ['--threads', threads]
start = time.time()
subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
wall = time.time() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f'| {label} | {mb} | {threads} | {usage.ru_maxrss / 1024:.0f} | {float(mb) / wall:.0f} | '
      f'{usage.ru_utime + usage.ru_stime:.1f} |', flush=True)
PYTHON
}

echo "| text | MB | threads | peak MB | MB/s | CPU s |"
echo "|---|---|---|---|---|---|"
for mb in "${sizes[@]}"; do
  make_text "$mb" "$work/text.txt"
  measure "one document" "$mb" 1 "$work/text.txt"
  measure "one document" "$mb" 2 "$work/text.txt"
  measure "a document a line" "$mb" 2 "$work/text.txt" --document-separator $'\n'
  rm "$work/text.txt"
  make_rows "$mb" "$work/rows.jsonl.zst"
  measure ".jsonl.zst" "$mb" 2 "$work/rows.jsonl.zst"
  rm "$work/rows.jsonl.zst"
done

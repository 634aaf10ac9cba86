#!/usr/bin/env bash
# fails_with.sh [-c CODE] SECONDS PATTERN COMMAND...: succeeds when the command ends by itself within SECONDS, with exit code CODE (1; a
# signal, a hang that an alarm ends and a success all have another), and prints a line that matches the extended regular expression PATTERN.
set -u
expected=1
if [ "$1" = -c ]; then
  expected=$2
  shift 2
fi
limit=$1 pattern=$2
shift 2
output=$(timeout -k 5 "$limit" "$@" 2>&1)
code=$?
printf '%s\n' "$output"
if [ "$code" -ne "$expected" ]; then
  echo "exit code $code, expected $expected (124: no end within $limit s)"
  exit 1
fi
grep -Eq -- "$pattern" <<<"$output" || { echo "no line matches: $pattern"; exit 1; }

#!/usr/bin/env bash
# quickstart_test.sh PROGRAM: quickstart.sh with the built program and a few steps, in a directory of its own. The
# sample continues the corpus' first words, each printed command runs as printed, and a second call deletes no run.
# Every name here needs quoting, and the corpus begins like an option.
set -u
source_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TRIREME_PROGRAM=$1 TRIREME_QUICKSTART_DIRECTORY="$work/quick start" TRIREME_QUICKSTART_STEPS=5
export TRIREME_QUICKSTART_WIDTH=16 TRIREME_QUICKSTART_POSITIONS=32 TRIREME_QUICKSTART_SAMPLE_TOKENS=20
failures=0

check() { # WHAT COMMAND...
  local what=$1
  shift
  "$@" || { echo "FAILED: $what" && failures=$((failures + 1)); }
}
quickstart() { "$source_root/launch/quickstart.sh" "$work/my text.txt" >"$work/output" 2>"$work/errors"; }
printed() { # HEADING: the command below it
  grep -A 1 "^$1\$" "$work/output" | sed -n '2s/^  //p'
}
run() { (cd "$source_root" && bash -c "$1") >"$work/command.output" 2>"$work/errors"; }
steps_logged() { wc -l <"$1/log.jsonl"; }
line_begins() { # FILE TEXT: a line does
  awk -v text="$2" 'index($0, text) == 1 { found = 1 } END { exit !found }' "$1"
}

{
  printf '\n  --- It is "quoted" $HOME\n'
  for line in {1..200}; do echo "line $line of a small text, which is here to be learnt"; done
} >"$work/my text.txt"
prompt='--- It is "quoted"'
here=$TRIREME_QUICKSTART_DIRECTORY

check "quickstart ends 0" quickstart
check "it logs every step" [ "$(steps_logged "$here/run")" -eq 5 ]
check "the sample begins with the corpus' first words" line_begins "$work/output" "$prompt"
check "both losses are summed up" [ "$(grep -cE '^(training|validation) loss +[0-9.]+ -> [0-9.]+$' "$work/output")" -eq 2 ]

resume=$(printed "resume, to twice the steps") on_two=$(printed "train on 2 ranks") generate=$(printed generate)
check "the command to resume runs" run "$resume"
check "it does resume" grep -q 'resumed from step 5 ' "$work/errors"
check "it goes on to twice the steps" [ "$(steps_logged "$here/run")" -eq 10 ]
check "the command for 2 ranks runs" run "$on_two"
check "on 2 ranks" grep -q '"ranks": 2,' "$here/run-2-ranks/config.json"
check "the command to generate runs" run "$generate"
check "it continues the prompt" line_begins "$work/command.output" "$prompt"

check "a second call ends 0" quickstart
check "it trains afresh" [ "$(steps_logged "$here/run")" -eq 5 ]
kept=$(echo "$here"/before-*)
check "it says where the earlier one is" grep -qF "is in $kept now" "$work/output"
check "with its steps" [ "$(steps_logged "$kept/run")" -eq 10 ]
again=${resume//quick\\ start/quick\\ start\/${kept##*/}}
check "and what is kept can still be resumed" run "${again/--steps 10/--steps 12}"
check "from its last step" grep -q 'resumed from step 10 ' "$work/errors"

[ $failures -eq 0 ] || { echo "the last standard error:" && cat "$work/errors"; exit 1; }

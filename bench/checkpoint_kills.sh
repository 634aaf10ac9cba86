#!/usr/bin/env bash
# checkpoint_kills.sh [TRIALS [SEED]]: kill -9 of random ranks of small jobs (200 trials, 1 to 3 kills each), which are
# started again until they are done and must then equal the undisturbed run. Prints the table of results/checkpoints.md
# as Markdown; exit 1 when a trial failed. 15 minutes on 2 cores with nothing else running. TRIREME_BUILD says where
# the build is (build/cpu-release).
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${TRIREME_BUILD:-build/cpu-release}/bin/trireme
[ -x "$program" ] || { echo "checkpoint_kills.sh: no $program: build the preset cpu-release" >&2 && exit 2; }
export OPENBLAS_CORETYPE=${OPENBLAS_CORETYPE:-SkylakeX}
"$program" --version
tests/launch/kills/kill_sweep.py "$program" --trials "${1:-200}" ${2:+--seed "$2"}

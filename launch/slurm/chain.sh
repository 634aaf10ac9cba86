#!/bin/bash
# chain.sh TEXT DIRECTORY [OPTIONS OF trireme submit]: prepare, train and evaluate as three jobs, each of which begins
# when the one before has ended well; when one fails, Slurm cancels the rest. An example: copy it, change what you need.
#   chain.sh book.txt experiment --nodes 2 --ranks-per-node 4 --threads 8 --memory 16 --model gpt2-124m --steps 1000
# sbatch reads SBATCH_PARTITION=NAME and SBATCH_ACCOUNT=NAME from the environment, for all three.
set -eu -o pipefail
[ $# -gt 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2 && exit 2; }
text=$1 data=$2/data run=$2/run name=$(basename "$2")
shift 2
trireme=${TRIREME:-trireme} # the program, on PATH unless TRIREME says where
command -v "$trireme" >/dev/null || { echo "chain.sh: there is no $trireme on PATH: put it there, or say where by TRIREME=PATH" >&2 && exit 2; }
[ -e "$text" ] || { echo "chain.sh: there is no text $text" >&2 && exit 2; }
mkdir -p "$(dirname "$data")"

job_number() { # the last line of its input, without the name of a cluster (NUMBER;CLUSTER); fails when it is none
  sed -n '$s/^\([0-9][0-9]*\)\(;.*\)\{0,1\}$/\1/p' | grep .
}
small_job() { # NAME MORE_OF_SBATCH... -- COMMAND...: one task on one core; prints the job's number
  local job=$name-$1 header=()
  shift
  while [ "$1" != -- ]; do header+=("$1") && shift; done
  shift
  printf '#!/bin/bash\n%s\n' "$(printf '%q ' "$@")" |
    sbatch --parsable --job-name="$job" --ntasks=1 --mem=4G --time=4:00:00 --output=%x-%j.out \
      --requeue --open-mode=append "${header[@]}" | job_number
}

submitted=()
undo() { # half of a chain is of no use
  echo "chain.sh: no number of a job came back; cancelled: ${submitted[*]:-none}" >&2
  [ ${#submitted[@]} -eq 0 ] || scancel "${submitted[@]}"
}
trap undo ERR
prepare=$(small_job prepare -- "$trireme" prepare --input "$text" --output "$data" --tokenizer byte)
submitted+=("$prepare")
# There is no data yet to plan the memory by, so --memory must be among the options.
train=$("$trireme" submit --after "$prepare" --job-name "$name-train" --data "$data" --run "$run" "$@" | job_number)
submitted+=("$train")
evaluate=$(small_job evaluate --dependency="afterok:$train" --kill-on-invalid-dep=yes -- \
  "$trireme" evaluate --model "$run" --data "$data")
echo "prepare $prepare, train $train, evaluate $evaluate: squeue --me shows them"

#!/bin/bash
# Trains under Slurm: `sbatch SCRIPT`. `trireme submit` fills in what stands above the first empty line (with --print it
# makes a script of your own, for you to edit there); the rest starts the program, passes Slurm's warning on to it, and
# puts the job back into the queue when it asks for that.
#SBATCH --job-name=trireme
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=4
#SBATCH --mem=16000M
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.out
##SBATCH --partition=NAME
##SBATCH --account=NAME
##SBATCH --gpus-per-node=1
##SBATCH --array=1-3
##SBATCH --dependency=afterok:JOB --kill-on-invalid-dep=yes
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
launcher=srun # or mpirun
most_idle_starts=3 # so many starts in a row without a new checkpoint, and the job is not requeued any more
program=trireme
run=run # task I of an array trains in run/task-I
options=(--data data --model nano --steps 2000)
case ${SLURM_ARRAY_TASK_ID:-} in # further options of the tasks of an array, as in: 1) options+=(--seed 7) ;;
esac

# Slurm's warning before the time limit (USR1) and its end (TERM) are passed on, once, as USR1: mpirun would turn TERM
# into a kill within a second, and so would srun. Ranks that have just been started would die of USR1, so they have 2
# seconds to begin.
asked= told= launched= began=0 interrupted=
ask() {
  [ -n "$asked" ] || echo "job.sh: Slurm's warning before the time limit, or a signal that was sent: asking the ranks to save" >&2
  asked=yes interrupted=yes
  [ -z "$told" ] && [ -n "$launched" ] || return
  told=yes
  while ((SECONDS < began + 2)) && kill -0 "$launched" 2>/dev/null; do sleep 0.2; done
  kill -USR1 "$launched" 2>/dev/null
}
trap ask USR1 TERM INT

stop() { # CODE WHY
  echo "job.sh: $2" >&2
  exit "$1"
}

# A rank is a process with as many threads as it has cores. mpirun's daemons need all of a node's cores (Slurm 20.11 and
# later gives them one).
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OMPI_MCA_plm_slurm_args=${OMPI_MCA_plm_slurm_args:---whole}
# With its default fence Slurm 22.05 lets ranks out of MPI_Init too early: 20 of 149 starts of 8 ranks crashed.
export SLURM_PMIX_FENCE=ring
# A node that is cut off is noticed by mpirun after 5 seconds, not after many minutes.
export OMPI_MCA_oob_tcp_keepalive_time=3 OMPI_MCA_oob_tcp_keepalive_intvl=1 OMPI_MCA_oob_tcp_keepalive_probes=3
case $launcher in
  srun) launch=(srun --mpi=pmix --kill-on-bad-exit=1 --cpus-per-task="$OMP_NUM_THREADS" --cpu-bind=cores) ;;
  mpirun)
    [ -n "${SLURM_NTASKS_PER_NODE:-}" ] || [ "${SLURM_NTASKS:-1}" = "${SLURM_JOB_NUM_NODES:-1}" ] ||
      stop 2 "launcher=mpirun needs to know the ranks of a node: give #SBATCH --ntasks-per-node"
    launch=(mpirun --use-hwthread-cpus --map-by "ppr:${SLURM_NTASKS_PER_NODE:-1}:node:PE=$OMP_NUM_THREADS")
    ;;
  *) stop 2 "launcher=$launcher: it is srun or mpirun" ;;
esac
restart=${SLURM_RESTART_COUNT:-0}
job=$SLURM_JOB_ID # that of an array's last task is the array's own number, so a task is called by its place
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  run+=/task-$SLURM_ARRAY_TASK_ID job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
fi

newest_step() { # that the run has saved, 0: none
  local newest
  newest=$(ls "$run/checkpoints" 2>/dev/null | sed -n 's/^step-0*\([0-9][0-9]*\)$/\1/p' | sort -n | tail -n 1)
  echo "${newest:-0}"
}
# A line a start, with the step that it found: those that found what there is at the end were idle.
starts=$run/slurm-starts.txt
{ mkdir -p "$run" && echo "job $job restart $restart on $SLURM_JOB_NODELIST found step $(newest_step)" >>"$starts"; } ||
  stop 1 "cannot write $starts"

recorded() { # NAME: a member of what the run left as its last word (launch/exit_record.h)
  sed -n "s/^[{ ]*\"$1\": *\"\{0,1\}\([^\",]*\).*/\1/p" "$run/exit.json" 2>/dev/null | head -n 1
}
recorded_code() { # of this start; nothing: it left none
  [ "$(recorded slurm_job_id) $(recorded slurm_restart_count)" = "$SLURM_JOB_ID $restart" ] && recorded code
}
# mpirun may wait a quarter of an hour for a node that is cut off, when the watchdog has long ended the ranks.
end_hung_mpirun() {
  until [ -n "$(recorded_code)" ]; do sleep 5; done &>/dev/null
  sleep 60 &>/dev/null
  echo "job.sh: exit $(recorded_code) is a minute old, and mpirun has not ended: it is killed" >&2
  kill -KILL "$launched"
}

"${launch[@]}" "$program" train --run "$run" "${options[@]}" </dev/null &
launched=$! began=$SECONDS watcher=
[ -z "$asked" ] || ask # before there was anybody to tell
[ "$launcher" = srun ] || { end_hung_mpirun & watcher=$!; }
while interrupted= && wait "$launched"; code=$? && [ -n "$interrupted" ]; do :; done # a trap ends `wait`, no more
trap '' USR1 TERM INT # there is nobody to tell any more, and Slurm ends a job that it requeues
[ -z "$watcher" ] || { kill "$watcher" && wait "$watcher"; } 2>/dev/null

last_word=$(recorded_code)
if [ -n "$last_word" ]; then
  code=$last_word # the launcher's own says less
elif [ -n "$asked" ] && [ "$code" -eq 138 ]; then
  code=75 # the signal met ranks that did not listen yet, and had nothing to save
elif [ "$launcher" = mpirun ] && [ "$code" -eq 205 ]; then
  code=76 # mpirun lost a node, and ended the ranks before they could say so; Slurm notices much later
fi
case $code in
  75 | 76) ;;
  *) exit "$code" ;;
esac

patiently() { # COMMAND...: for a minute, for Slurm's controller may be busy, or just be started again
  local tries=6
  until "$@"; do
    ((tries-- > 0)) && sleep 10 || return
  done
}
shown=$(patiently scontrol show job "$job") ||
  stop "$code" "exit $code, and for a minute Slurm did not say how the job stands: it is not requeued"
shown=" ${shown//$'\n'/ } " # a start that Slurm has given up may live on beside the next one
if [[ ! $shown =~ ' JobState='(RUNNING|SIGNALING)' '|' Reason=TimeLimit ' || $shown != *" Restarts=$restart "* ]]; then
  stop "$code" "exit $code, and the job was cancelled or has been started again: it is not requeued (a new submit goes on)"
fi
newest=$(newest_step)
idle=$(grep -c "^job $job restart .* found step $newest\$" "$starts")
[ "$idle" -lt "$most_idle_starts" ] ||
  stop "$code" "exit $code, and no checkpoint after step $newest came of $idle start(s) in a row: it is not requeued"
echo "job.sh: exit $code at step $newest: requeued"
patiently scontrol requeue "$job" || stop "$code" "exit $code, and for a minute Slurm did not requeue the job"

#!/usr/bin/env python3
"""job_script_test.py JOB_SCRIPT: what launch/slurm/job.sh decides, with a launcher and a scontrol that only pretend:
which exit codes go back into the queue, how often, and whom a signal reaches. Some seconds, no Slurm."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import tempfile
import time

SRUN = """#!/bin/bash
printf '%s\\n' "$@" >"$HERE/launched"
read -r TRAIN < <(printf '%s\\n' "$RUN_OF_TEST")
save() { mkdir -p "$TRAIN/checkpoints/step-$(printf %09d "$1")"; }
record() { # CODE JOB RESTART: as launch/exit_record.h writes it
  printf '{\\n  "code": %s,\\n  "reason": "it said \\\\"so\\\\", then",\\n' "$1" >"$TRAIN/exit.json"
  printf '  "slurm_job_id": "%s",\\n  "slurm_restart_count": "%s"\\n}\\n' "$2" "$3" >>"$TRAIN/exit.json"
}
source "$HERE/behaviour"
"""
# Seconds that job.sh counts go by at once, but for the parts of them in which it waits for ranks to listen: these last
# until they do, so that a busy machine is not late.
SLEEP = """#!/bin/bash
case $1 in
  5) exec /bin/sleep 0.05 ;;
  10 | 60) echo "$1" >>"$HERE/slept" && exit ;;
esac
while [ -e "$HERE/deaf" ]; do /bin/sleep 0.02; done
exec /bin/sleep "$1"
"""
SCONTROL = """#!/bin/bash
if [ -s "$HERE/silent" ]; then # for so many calls
  calls=$(cat "$HERE/silent")
  if ((calls > 1)); then echo $((calls - 1)) >"$HERE/silent"; else >"$HERE/silent"; fi
  echo "slurm_load_jobs error: Unable to contact slurm controller" >&2
  exit 1
fi
if [ "$1" = requeue ]; then echo "$2" >>"$HERE/requeued"; exit "$(cat "$HERE/requeue_code")"; fi
printf 'JobId=%s JobName=x\\n   %s Dependency=(null)\\n' "$3" "$(cat "$HERE/state")"
printf '   Requeue=1 Restarts=%s BatchFlag=1\\n' "$(cat "$HERE/restarts")"
"""
LISTENS = """trap 'echo USR1 >>"$HERE/signals"; heard=1' USR1
trap 'echo TERM >>"$HERE/signals"' TERM INT
touch "$HERE/listens"
rm -f "$HERE/deaf"
for ((i = 0; i < 200; i++)); do /bin/sleep 0.05; [ -z "$heard" ] || break; done
/bin/sleep 0.5; save 7; exit 75
"""


class Job:
    """A job of a directory of its own, started as Slurm would, again and again."""

    def __init__(self, script, **settings):
        self.directory = tempfile.TemporaryDirectory(prefix="job script ")  # a blank, as paths may have
        self.run = settings.pop("run", self.path("the run"))
        self.environment = {"PATH": self.path("bin") + ":" + os.environ["PATH"], "HERE": self.path(),
                            "SLURM_JOB_ID": "41", "SLURM_CPUS_PER_TASK": "3", "SLURM_NTASKS_PER_NODE": "2",
                            "SLURM_JOB_NODELIST": "n[1-2]", "RUN_OF_TEST": settings.pop("trains_in", self.run)}
        self.environment |= settings.pop("environment", {})
        os.mkdir(self.path("bin"))
        for name, text in (("srun", SRUN), ("mpirun", SRUN), ("scontrol", SCONTROL), ("sleep", SLEEP)):
            self.write(os.path.join("bin", name), text)
            os.chmod(self.path("bin", name), 0o755)
        values = {"run": f"'{self.run}'", "options": "(--data 'two words' --steps 9)"} | settings
        with open(script) as file:
            lines = file.read().split("\n")
        for name, value in values.items():
            at = [i for i, line in enumerate(lines) if line.startswith(name + "=")]
            require(len(at) == 1, f"job.sh has {len(at)} lines {name}=")
            lines[at[0]] = f"{name}={value}"
        self.write("job.sh", "\n".join(lines))
        self.write("requeue_code", "0")
        self.state("JobState=RUNNING Reason=None")

    def path(self, *names):
        return os.path.join(self.directory.name, *names)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def read(self, name):
        try:
            with open(self.path(name)) as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def state(self, state):
        self.write("state", state)

    def begin(self, behaviour, restart=0, of_slurm=None):
        """`restart`: of this start; `of_slurm`: of the newest."""
        for name in ("requeued", "signals", "listens", "launched", "slept"):
            self.write(name, "")
        self.write("behaviour", behaviour)
        self.write("restarts", str(restart if of_slurm is None else of_slurm))
        environment = self.environment | ({"SLURM_RESTART_COUNT": str(restart)} if restart else {})
        os.unlink(self.path("listens"))
        return subprocess.Popen(["bash", self.path("job.sh")], env=environment, cwd=self.path(), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def end(self, process):
        """(exit code, what it said, jobs that it put back)"""
        self.said = process.communicate(timeout=30)[0]
        return process.returncode, self.read("requeued").split()

    def start(self, behaviour, restart=0, of_slurm=None):
        return self.end(self.begin(behaviour, restart, of_slurm))

    def wait_until_it_listens(self):
        deadline = time.monotonic() + 20
        while not os.path.exists(self.path("listens")):
            require(time.monotonic() < deadline, "the launcher did not start")
            time.sleep(0.02)


def require(holds, what):
    if not holds:
        raise AssertionError(what)


def expect(job, got, wanted, says=""):
    require(got == wanted, f"got {got}, wanted {wanted}; it said: {job.said}")
    require(says in job.said, f"'{says}' is not in: {job.said}")


def passes_other_codes_on(script):
    job = Job(script)
    for code in (0, 1, 2, 77, 137, 255):
        expect(job, job.start(f"exit {code}"), (code, []))
    require(job.said == "", f"it spoke: {job.said}")


def starts_the_launcher_with_binding_and_words_whole(script):
    job = Job(script)
    job.start('echo "$OMP_NUM_THREADS $SLURM_PMIX_FENCE" >"$HERE/environment"')
    words = job.read("launched").split("\n")
    require("--cpus-per-task=3" in words and "two words" in words and job.run in words, f"srun got {words}")
    require(job.read("environment") == "3 ring\n", f"the environment has {job.read('environment')}")
    job = Job(script, launcher="mpirun")
    job.start("exit 0")
    require("ppr:2:node:PE=3" in job.read("launched").split("\n"), f"mpirun got {job.read('launched')}")


def requeues_for_ever_while_steps_are_saved(script):
    job = Job(script)
    for restart in range(6):
        expect(job, job.start(f"save {restart * 1000 + 8}; exit 75", restart), (0, ["41"]), "requeued")


def gives_up_after_idle_starts(script):
    job = Job(script, most_idle_starts="3")
    expect(job, job.start("exit 76", 0), (0, ["41"]))
    expect(job, job.start("exit 76", 1), (0, ["41"]))
    expect(job, job.start("save 12; exit 76", 2), (0, ["41"]))
    expect(job, job.start("exit 76", 3), (0, ["41"]))
    expect(job, job.start("exit 75", 4), (0, ["41"]))
    expect(job, job.start("exit 76", 5), (76, []), "no checkpoint after step 12 came of 3 start(s) in a row")


def believes_the_run_more_than_the_launcher(script):
    job = Job(script)
    expect(job, job.start("record 76 41 0; exit 137"), (0, ["41"]))
    expect(job, job.start("record 1 41 1; exit 75", 1), (1, []))
    expect(job, job.start("save 8; record 75 41 2; exit 143", 2), (0, ["41"]))


def leaves_the_word_of_another_start_alone(script):
    job = Job(script)
    expect(job, job.start("record 76 41 1; exit 137", 2), (137, []))
    expect(job, job.start("record 76 40 2; exit 137", 2), (137, []))


def passes_a_signal_on_once(script, first):
    job = Job(script)
    process = job.begin(LISTENS)
    job.wait_until_it_listens()
    process.send_signal(first)
    deadline = time.monotonic() + 20
    while not job.read("signals") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)  # as at the end of the time; the program is saving
    expect(job, job.end(process), (0, ["41"]), "at step 7")
    require(job.read("signals") == "USR1\n", f"it reached the launcher as {job.read('signals').split()}")


def passes_usr1_on_once(script):
    passes_a_signal_on_once(script, signal.SIGUSR1)


def passes_term_on_as_usr1(script):
    passes_a_signal_on_once(script, signal.SIGTERM)


def passes_int_on_as_usr1(script):
    passes_a_signal_on_once(script, signal.SIGINT)


def keeps_a_signal_until_there_is_a_launcher(script):
    job = Job(script)
    job.write("deaf", "")
    slow = '#!/bin/bash\ntouch "$HERE/listens"\n/bin/sleep 0.5\nexec /bin/mkdir "$@"\n'
    job.write(os.path.join("bin", "mkdir"), slow)
    os.chmod(job.path("bin", "mkdir"), 0o755)
    process = job.begin(LISTENS)
    job.wait_until_it_listens()
    process.send_signal(signal.SIGUSR1)
    expect(job, job.end(process), (0, ["41"]))
    require(job.read("signals") == "USR1\n", f"the launcher got {job.read('signals').split()}")


def requeues_ranks_that_died_of_the_warning(script):
    job = Job(script)
    process = job.begin('touch "$HERE/listens"; trap - USR1; for ((i = 0; i < 300; i++)); do /bin/sleep 0.05; done')
    job.wait_until_it_listens()
    process.send_signal(signal.SIGUSR1)
    expect(job, job.end(process), (0, ["41"]))
    expect(job, job.start("exit 138", 1), (138, []))


def requeues_when_mpirun_has_lost_a_node(script):
    expect(job := Job(script, launcher="mpirun"), job.start("save 3; exit 205"), (0, ["41"]))
    expect(job := Job(script, launcher="srun"), job.start("save 3; exit 205"), (205, []))


def leaves_a_cancelled_job(script):
    job = Job(script)
    job.state("JobState=COMPLETING Reason=None")
    expect(job, job.start("save 3; exit 75"), (75, []), "cancelled")
    job.state("JobState=COMPLETING Reason=TimeLimit")
    expect(job, job.start("save 4; exit 75", 1), (0, ["41"]))
    job.state("JobState=SIGNALING Reason=None")  # the warning is still on its way to others
    expect(job, job.start("save 5; exit 75", 2), (0, ["41"]))


def leaves_the_job_to_its_next_start(script):
    job = Job(script)
    expect(job, job.start("save 3; exit 76", restart=1, of_slurm=2), (76, []), "started again")


def says_when_slurm_does_not_requeue(script):
    job = Job(script)
    job.write("requeue_code", "1")
    expect(job, job.start("save 3; exit 75"), (75, ["41"] * 7), "exit 75, and for a minute Slurm did not requeue")
    require(job.read("slept") == "10\n" * 6, f"it waited {job.read('slept').split()}")


def asks_slurm_for_a_minute(script):
    job = Job(script)
    job.write("silent", "6")
    expect(job, job.start("save 3; exit 75"), (0, ["41"]), "requeued")
    job.write("silent", "7")
    expect(job, job.start("save 4; exit 75", 1), (75, []), "for a minute Slurm did not say how the job stands")
    require("cancelled" not in job.said, f"it said: {job.said}")


def kills_an_mpirun_that_hangs_after_its_ranks(script):
    """As where a node is cut off: the ranks have ended, and mpirun does not notice."""
    hangs = "trap '' TERM USR1; save 3; record 76 41 0; for ((i = 0; i < 300; i++)); do /bin/sleep 0.1; done"
    job = Job(script, launcher="mpirun")
    began = time.monotonic()
    expect(job, job.start(hangs), (0, ["41"]), "exit 76 is a minute old, and mpirun has not ended")
    require(time.monotonic() - began < 20, "it waited for mpirun")
    require(job.read("slept") == "60\n", f"it waited {job.read('slept').split()}")
    expect(job, job.start("record 76 41 0; /bin/sleep 0.5; exit 1", 1), (1, []))  # of another start: nothing hangs
    require(job.read("slept") == "", "it was about to kill mpirun")


def wants_the_ranks_of_a_node_for_mpirun(script):
    def codes(**environment):
        job = Job(script, launcher="mpirun", environment={"SLURM_NTASKS_PER_NODE": ""} | environment)
        return job.start("exit 0")[0], job.read("launched")

    code, launched = codes(SLURM_NTASKS="8", SLURM_JOB_NUM_NODES="2")
    require(code == 2 and not launched, f"it ended with {code} and started {launched}")
    code, launched = codes(SLURM_NTASKS="2", SLURM_JOB_NUM_NODES="2")
    require(code == 0 and "ppr:1:node:PE=3" in launched, f"it ended with {code} and started {launched}")


def keeps_what_the_user_set(script):
    show = 'echo "$OMPI_MCA_plm_slurm_args" >"$HERE/environment"'
    (job := Job(script, launcher="mpirun", environment={"OMPI_MCA_plm_slurm_args": "--exact"})).start(show)
    require(job.read("environment") == "--exact\n", f"mpirun got {job.read('environment')}")
    (job := Job(script, launcher="mpirun")).start(show)
    require(job.read("environment") == "--whole\n", f"mpirun got {job.read('environment')}")


def trains_each_task_in_a_run_of_its_own(script):
    array = {"SLURM_ARRAY_JOB_ID": "41", "SLURM_ARRAY_TASK_ID": "2"}
    job = Job(script, run="runs", trains_in="runs/task-2", environment=array)
    expect(job, job.start("save 3; exit 75"), (0, ["41_2"]))
    require("runs/task-2" in job.read("launched").split("\n"), f"srun got {job.read('launched')}")
    require(os.path.exists(job.path("runs/task-2/slurm-starts.txt")), "it noted no start")


def ends_where_the_run_cannot_be(script):
    job = Job(script, run="/dev/null/run")
    expect(job, job.start("exit 0"), (1, []), "cannot write /dev/null/run/slurm-starts.txt")
    require(job.read("launched") == "", "it started ranks")
    job = Job(script, launcher="ssh")
    expect(job, job.start("exit 0"), (2, []), "it is srun or mpirun")


TESTS = [
    passes_other_codes_on,
    starts_the_launcher_with_binding_and_words_whole,
    requeues_for_ever_while_steps_are_saved,
    gives_up_after_idle_starts,
    believes_the_run_more_than_the_launcher,
    leaves_the_word_of_another_start_alone,
    passes_usr1_on_once,
    passes_term_on_as_usr1,
    passes_int_on_as_usr1,
    keeps_a_signal_until_there_is_a_launcher,
    requeues_ranks_that_died_of_the_warning,
    requeues_when_mpirun_has_lost_a_node,
    leaves_a_cancelled_job,
    leaves_the_job_to_its_next_start,
    says_when_slurm_does_not_requeue,
    asks_slurm_for_a_minute,
    kills_an_mpirun_that_hangs_after_its_ranks,
    wants_the_ranks_of_a_node_for_mpirun,
    keeps_what_the_user_set,
    trains_each_task_in_a_run_of_its_own,
    ends_where_the_run_cannot_be,
]


def outcome(test):
    """What went wrong; "": nothing."""
    try:
        test(sys.argv[1])
    except (AssertionError, subprocess.TimeoutExpired) as failure:
        return str(failure)
    return ""


def main():
    with concurrent.futures.ThreadPoolExecutor(len(TESTS)) as threads:  # they wait for seconds on end
        outcomes = list(threads.map(outcome, TESTS))
    for test, failure in zip(TESTS, outcomes):
        print(f"FAILED {test.__name__}: {failure}" if failure else f"ok     {test.__name__}")
    return 1 if any(outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())

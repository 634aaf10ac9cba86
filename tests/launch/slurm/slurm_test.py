#!/usr/bin/env python3
"""slurm_test.py PROGRAM CHAIN_SCRIPT: trireme submit on a real Slurm cluster of four nodes: eight ranks by srun and by
mpirun, warned by USR1 in the middle, saved, requeued and finished with the bits of a run that nobody disturbed; so a
job that the watchdog ends; a task of an array that is requeued; a run that goes on with half of its nodes; a job that
is cancelled, and saves; a chain from text to an evaluated model. Exit 77 without a cluster. A minute or two, of which
a requeued job waits 10 s for Slurm."""

import json
import os
import re
import signal
import sys
import tempfile

sys.dont_write_bytecode = True  # the source tree stays as it is

from cluster import Cluster, SlurmJob, fail_after, find_scripts, submit
from run_files import Failed, RunFiles, checked, read, require
from small_training import EVERY, SmallTraining

STEPS = 100
ENDLESS = 1000000
STOPPED = 3  # rank
ALL = ["--nodes", "4", "--ranks-per-node", "2", "--threads", "1"]
LAYOUT = ["--tensor-parallel", "2"]


class Trials:
    """Their runs and jobs. A job that is disturbed is submitted right before, so that it has not ended by then."""

    def __init__(self, program, chain_script, directory):
        self.training = SmallTraining(program, directory)
        self.chain_script = chain_script
        self.directory = directory

    def run(self, name):
        return RunFiles(self.training.program, self.training.path(name))

    def job(self, run, words, steps=STEPS):
        return submit(self.training.words(run, steps, LAYOUT + words), os.path.basename(run.path), self.directory)

    def array(self, run):
        """Two tasks, of which the second has more to do."""
        with open(self.training.path("sweep.txt"), "w") as file:
            file.write(f"# two tasks\n--learning-rate 1e-3\n--learning-rate 2e-3 --seed 7 --steps {STEPS}\n")
        words = ["--ranks-per-node", "2", "--threads", "1", "--sweep", self.training.path("sweep.txt")]
        array = self.job(run, words, steps=8)
        return [(SlurmJob(f"{array.id}_{task}", os.path.join(self.directory, f"sweep-{array.id}_{task}.out")),
                 RunFiles(run.program, os.path.join(run.path, f"task-{task}"))) for task in (1, 2)]

    def chain(self, name, words):
        """The three jobs."""
        os.environ["TRIREME"] = self.training.program
        said = checked(["bash", self.chain_script, self.training.path("corpus.txt"), self.training.path(name),
                        "--threads", "1", "--memory", "1", "--model", self.training.path("model.json"), *words])
        return {word: SlurmJob(id, f"{name}-{word}-{id}.out") for word, id in
                (part.split()[:2] for part in said.partition(":")[0].split(", "))}


def record_of(run, code):
    """exit.json, which must say so."""
    record = json.loads(read(os.path.join(run.path, "exit.json")) or "{}")
    is_right = record.get("code") == code and record["step"] == max(run.check_steps())
    require(is_right, f"exit.json of {run.path}: {record}")
    return record


def freeze(job, run, rank):
    """A rank of a job that has saved a step, so that the job cannot end meanwhile; its process."""
    job.reaches(lambda: run.newest() >= EVERY, "saved a step")
    process = job.process(rank)
    os.kill(process, signal.SIGSTOP)
    return process


def is_pending(process, number):
    """Has the frozen process got this signal? (proc(5): ShdPnd)"""
    mask = re.search(r"^ShdPnd:\s*(\w+)", read(f"/proc/{process}/status"), re.M)
    return mask and int(mask.group(1), 16) >> (number - 1) & 1


def warn(job, run):
    """As Slurm does before the time limit: the shell of the job alone gets the signal."""
    process = freeze(job, run, 1)
    checked(["scancel", "--signal=USR1", "--batch", job.id])
    job.reaches(lambda: is_pending(process, signal.SIGUSR1), "passed the warning on")
    os.kill(process, signal.SIGCONT)
    job.reaches(job.is_requeued, "been requeued")
    print(f"job {job.id} was warned, saved step {record_of(run, 75)['step']} and was requeued", flush=True)


def hang(job, run):
    """A rank that does nothing any more: the watchdog names it and ends the job."""
    freeze(job, run, STOPPED)
    job.reaches(job.is_requeued, "been requeued")
    record = record_of(run, 76)
    require(record["ranks"] == [STOPPED], f"exit.json: {record}")
    print(f"job {job.id} was ended since {record['reason']}, and was requeued", flush=True)


def cancel(job, run):
    """By its user: it saves within Slurm's KillWait (5 s on this cluster), ends, and stays ended."""
    job.reaches(lambda: run.newest() >= EVERY, "saved a step")
    checked(["scancel", job.id])
    job.finish("CANCELLED")
    require("requeued\n" not in job.text().replace("not requeued", ""), f"it was requeued:\n{job.end()}")
    record = record_of(run, 75)
    require(f"step {record['step']} is saved" in job.text(), f"it did not save:\n{job.end()}")
    print(f"job {job.id} was cancelled and saved step {record['step']} ({record['reason']})", flush=True)


def check_array(tasks):
    """Of the second, which was warned, and the first."""
    for (job, run), rate, steps in zip(tasks, (1e-3, 2e-3), (8, STEPS)):
        job.finish()
        require(max(run.check_steps()) == steps, f"steps of task {job.id}: {run.steps()}")
        options = json.loads(read(os.path.join(run.path, "config.json")))["options"]
        require(options["learning-rate"] == rate, f"task {job.id} trained with {options['learning-rate']}")
    (first, _), (second, _) = tasks
    require(first.field("Restarts") == "0", "the other task was requeued too")
    require("resumed from step " in second.text(), f"it did not resume:\n{second.end()}")


def disturb_all(trials):
    """Those that must end as if nothing had happened, and the tasks of an array."""
    requeued = []
    for name, words, disturb in (("srun", [], warn), ("mpirun", ["--launcher", "mpirun"], warn),
                                 ("watchdog", ["--watchdog-timeout", "5"], hang)):
        run = trials.run(name)
        job = trials.job(run, ALL + words)
        disturb(job, run)
        requeued.append((job, run))
    cancelled = trials.run("cancelled")
    cancel(trials.job(cancelled, ALL, ENDLESS), cancelled)
    tasks = trials.array(trials.run("sweep"))
    warn(*tasks[1])
    return requeued, tasks


def check_all(trials):
    requeued, tasks = disturb_all(trials)
    undisturbed, smaller = trials.run("undisturbed"), trials.run("smaller")
    reference = trials.job(undisturbed, ALL)
    first = trials.job(smaller, ALL + ["--stop-at-step", "8"], steps=16)
    half = ["--nodes", "2", "--ranks-per-node", "2", "--threads", "1", "--after", first.id]
    resumed = trials.job(smaller, half, steps=16)
    chain = trials.chain("chain", ["--steps", "4"])
    broken = trials.chain("broken", ["--steps", "4", "--init-from", "/no/such/run"])
    reference.finish()
    require(reference.field("Restarts") == "0", "the undisturbed job was requeued")
    resumed.finish()
    require("resumed from step 8 " in resumed.text(), f"it began anew:\n{resumed.end()}")
    require("dp 4" in resumed.text() and max(smaller.check_steps()) == 16, resumed.text())
    check_array(tasks)
    for job in chain.values():
        job.finish()
    evaluated = read(chain["evaluate"].output)
    require("perplexity" in evaluated, f"the chain ends with: {evaluated}")
    broken["train"].finish("FAILED")
    broken["evaluate"].finish("CANCELLED")
    for job, run in requeued:
        job.finish()
        require("resumed from step " in job.text(), f"it did not resume:\n{job.end()}")
        run.check_equals(undisturbed)


def main():
    scripts = find_scripts()
    if scripts is None:
        return 77
    program, chain_script = (os.path.abspath(word) for word in sys.argv[1:3])
    fail_after(500)
    try:
        with tempfile.TemporaryDirectory(prefix="trireme slurm ") as directory, Cluster(scripts):
            os.chdir(directory)
            try:
                check_all(Trials(program, chain_script, directory))
            finally:
                os.chdir("/")
    except Failed as failure:
        print(f"FAILED: {failure}")
        return 1
    print("all as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())

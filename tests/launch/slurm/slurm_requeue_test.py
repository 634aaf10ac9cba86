#!/usr/bin/env python3
"""slurm_requeue_test.py PROGRAM: what takes minutes of waiting for Slurm. Jobs that reach their time limit, by Slurm's
warning and by what the run knows of the limit itself; jobs under srun and mpirun that lose a node without their first
rank, and then the one with it. All are requeued and end with the bits of a run that nobody disturbed. Exit 77 without a
cluster (TRIREME_TEST_CLUSTER). Slurm needs 26 s to call a silent node down and 10 s to start a requeued job."""

import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays as it is

from cluster import Cluster, fail_after, find_scripts, submit
from run_files import Failed, RunFiles, checked, require
from small_training import EVERY, SmallTraining

STEPS = 120
LAYOUT = ["--tensor-parallel", "2", "--zero-stage", "1", "--nodes", "2", "--ranks-per-node", "2", "--threads", "1"]


class Trials:
    def __init__(self, program, directory):
        self.training = SmallTraining(program, directory)
        self.directory = directory

    def start(self, name, words, steps=STEPS, environment=None):
        run = RunFiles(self.training.program, self.training.path(name))
        job = submit(self.training.words(run, steps, LAYOUT + words), name, self.directory, environment)
        return job, run


def lose_node(cluster, job, run, steps, which):
    """Kills a node of the job once `steps` more steps are saved, and sees it start again from the newest of them."""
    restarts, until = int(job.field("Restarts")), run.newest() + steps
    job.reaches(lambda: run.newest() >= until, f"saved step {until}")
    node = job.nodes()[which]
    cluster.kill(node)
    killed = time.monotonic()
    print(f"killed {node} of job {job.id} after step {run.newest()}", flush=True)
    job.reaches(lambda: job.is_requeued(restarts + 1), "been requeued")
    newest = max(run.check_steps())
    job.reaches(lambda: run.newest() > newest, f"saved a step after {newest}")
    require(f"resumed from step {newest} " in job.text(), f"it did not resume from step {newest}:\n{job.end()}")
    seconds = time.monotonic() - killed
    print(f"it went on from step {newest}, and had saved the next one {seconds:.1f} s after the kill", flush=True)


def check_end(job, run, undisturbed):
    job.finish()
    steps = run.check_steps()
    require(steps == [STEPS - EVERY, STEPS], f"steps that are left: {steps}")
    require(not run.unfinished() + run.trash(), f"left behind: {run.names()}")
    run.check_equals(undisturbed)
    print(f"{os.path.basename(run.path)} is identical to the undisturbed run", flush=True)


def check_time_limits(trials):
    """Both train for longer than their limit, in whole minutes: as long as it takes until they are requeued."""
    endless = ["--time", "2", "--keep-last", "2"]
    jobs = {"warned": trials.start("warned", endless, 100000, {"SBATCH_SIGNAL": "B:USR1@60"}),
            "knowing": trials.start("knowing", endless, 100000, {"SBATCH_SIGNAL": "B:CONT@1"})}
    for name, (job, run) in jobs.items():
        job.reaches(job.is_requeued, "been requeued")
        said = job.text()
        require("exit 75 at step" in said and "DUE TO TIME LIMIT" not in said, f"{name} job {job.id}:\n{job.end()}")
        require(("USR1" in said) == (name == "warned"), f"{name} job {job.id} ended for another reason:\n{job.end()}")
        newest = max(run.check_steps())
        job.reaches(lambda: run.newest() > newest, f"gone on from step {newest}")
        checked(["scancel", job.id])
        print(f"the {name} job ended before its limit at step {newest}, and went on", flush=True)


def main():
    scripts = find_scripts()
    if scripts is None:
        return 77
    program = os.path.abspath(sys.argv[1])
    fail_after(800)
    try:
        with tempfile.TemporaryDirectory(prefix="trireme-slurm-") as directory:
            with Cluster(scripts):
                trials = Trials(program, directory)
                job, undisturbed = trials.start("undisturbed", [])
                job.finish()
                check_time_limits(trials)
            for launcher in ("srun", "mpirun"):  # a cluster for each: nodes that are dead stay dead
                with Cluster(scripts) as cluster:
                    job, run = trials.start(launcher, ["--launcher", launcher])
                    lose_node(cluster, job, run, 20, which=1)
                    lose_node(cluster, job, run, 20, which=0)
                    check_end(job, run, undisturbed)
    except Failed as failure:
        print(f"FAILED: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

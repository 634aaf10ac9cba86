#!/usr/bin/env python3
"""slurm_requeue_test.py PROGRAM: a job of 2 nodes under real Slurm loses a node without its first rank, is requeued,
loses the node with its first rank, is requeued again and finishes: checkpoints as if nothing had happened. The cluster
is that of TRIREME_TEST_CLUSTER (../shared/cluster); without it exit 77. About two minutes, in most of which Slurm waits
until a silent node is down (26 s) and a requeued job may start (10 s)."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays as it is

from job import segment_directory
from run_files import Failed, RunFiles, checked, read, require
from small_training import EVERY, SmallTraining

STEPS = 120
LAYOUT = ["--tensor-parallel", "2", "--zero-stage", "1"]
START_SECONDS = 120  # of a requeued job
RUN_SECONDS = 200


class Cluster:
    """Four nodes, since dead ones stay dead. Ends with the block of its `with`."""

    def __init__(self, scripts):
        self.scripts = scripts
        self.state = tempfile.mkdtemp(prefix="slurm.", dir="/tmp")  # a short path: it names sockets
        self.segments = segment_directory(self.state)

    def __enter__(self):
        start = [os.path.join(self.scripts, "start-slurm"), "-n", "4", "-c", "2", "-t", "5", self.state]
        print(checked(start), end="", flush=True)
        shell = ["bash", "-c", f"set -a; source {self.state}/env.sh; env -0"]
        os.environ.update(entry.split("=", 1) for entry in checked(shell).split("\0") if "=" in entry)
        os.environ["OMPI_MCA_btl_vader_backing_directory"] = self.segments
        return self

    def __exit__(self, *_):
        subprocess.run([os.path.join(self.scripts, "stop-slurm"), self.state], timeout=120)
        shutil.rmtree(self.segments, ignore_errors=True)

    def kill(self, node):
        checked([os.path.join(self.scripts, "kill-node"), self.state, node])


class SlurmJob:
    def __init__(self, name, words, directory):
        self.output = os.path.join(directory, name + ".txt")
        script = os.path.join(directory, name + ".sh")
        with open(script, "w") as file:
            file.write("#!/bin/bash\nexport OMP_NUM_THREADS=1 GOMP_SPINCOUNT=1000\nexec srun " + " ".join(words) + "\n")
        options = ["--nodes=2", "--ntasks=4", "--requeue", "--open-mode=append", f"--output={self.output}"]
        self.id = checked(["sbatch", "--parsable", *options, script]).strip()

    def field(self, name):
        shown = re.search(rf"\b{name}=(\S*)", checked(["scontrol", "show", "job", self.id]))
        return shown.group(1) if shown else ""

    def nodes(self):
        """The one of the batch script and of the first ranks, and the other."""
        first = self.field("BatchHost")
        names = checked(["scontrol", "show", "hostnames", self.field("NodeList")]).split()
        return first, next(name for name in names if name != first)

    def reaches(self, condition, what, limit_seconds):
        deadline = time.monotonic() + limit_seconds
        while not condition():
            state = self.field("JobState")
            require(state not in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"),
                    f"job {self.id} is {state} before it has {what}:\n{self.text()}")
            require(time.monotonic() < deadline, f"job {self.id} ({state}) has not {what} in time:\n{self.text()}")
            time.sleep(0.1)

    def finish(self):
        deadline = time.monotonic() + RUN_SECONDS
        while (state := self.field("JobState")) in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED"):
            require(time.monotonic() < deadline, f"job {self.id} stays {state}:\n{self.text()}")
            time.sleep(0.2)
        require(state == "COMPLETED", f"job {self.id} ended {state}:\n{self.text()}")

    def text(self):
        return read(self.output)


def lose_node(cluster, job, run, steps, which):
    """Kills a node of the job once `steps` more steps are saved, and sees it start again from the newest of them."""
    restarts, until = int(job.field("Restarts")), run.newest() + steps
    job.reaches(lambda: run.newest() >= until, f"saved step {until}", RUN_SECONDS)
    node = job.nodes()[which]
    cluster.kill(node)
    killed = time.monotonic()
    print(f"killed {node} of job {job.id} after step {run.newest()}", flush=True)
    job.reaches(lambda: int(job.field("Restarts")) > restarts, "been requeued", START_SECONDS)
    newest = max(run.check_steps())
    job.reaches(lambda: run.newest() > newest, f"saved a step after {newest}", START_SECONDS)
    require(f"resumed from step {newest} " in job.text(), f"it did not resume from step {newest}:\n{job.text()}")
    seconds = time.monotonic() - killed
    print(f"it went on from step {newest}, and had saved the next one {seconds:.1f} s after the kill", flush=True)


def main():
    program = os.path.abspath(sys.argv[1])
    scripts = os.path.abspath(os.environ.get("TRIREME_TEST_CLUSTER", "../shared/cluster"))
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if not os.access(os.path.join(scripts, "start-slurm"), os.X_OK):
        missing.append(f"{scripts}/start-slurm (set TRIREME_TEST_CLUSTER)")
    if missing:
        print("SKIPPED: training under Slurm, since there is no " + ", ".join(missing))
        return 77
    with tempfile.TemporaryDirectory(prefix="trireme-slurm-") as directory, Cluster(scripts) as cluster:
        training = SmallTraining(program, directory)
        run, undisturbed = (RunFiles(program, training.path(name)) for name in ("run", "undisturbed"))
        SlurmJob("undisturbed", training.words(undisturbed, STEPS, LAYOUT), directory).finish()
        job = SlurmJob("job", training.words(run, STEPS, LAYOUT), directory)
        try:
            lose_node(cluster, job, run, 20, which=1)
            lose_node(cluster, job, run, 20, which=0)
            job.finish()
            steps = run.check_steps()
            require(steps == [STEPS - EVERY, STEPS], f"steps that are left: {steps}")
            require(not run.unfinished() + run.trash(), f"left behind: {run.names()}")
            run.check_equals(undisturbed)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    print("identical to the undisturbed run")
    return 0


if __name__ == "__main__":
    sys.exit(main())

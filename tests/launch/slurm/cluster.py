"""A Slurm cluster of four virtual nodes on this machine (TRIREME_TEST_CLUSTER), and jobs on it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kills"))

from job import environment_of, segment_directory
from run_files import Failed, checked, read, require

LIVING = ("PENDING", "CONFIGURING", "RUNNING", "SIGNALING", "COMPLETING", "REQUEUED", "")
JOB_SECONDS = 300


class Cluster:
    """Dead nodes stay dead. Ends with the block of its `with`; what its jobs leave in shared memory and in TMPDIR (the
    session folders of ranks that were killed) goes with it."""

    def __init__(self, scripts):
        self.scripts = scripts
        self.state = tempfile.mkdtemp(prefix="slurm.", dir="/tmp")  # a short path: it names sockets
        self.segments = segment_directory(self.state)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        os.environ["TMPDIR"] = os.path.join(self.state, "tmp")
        os.makedirs(os.environ["TMPDIR"])
        start = [os.path.join(self.scripts, "start-slurm"), "-n", "4", "-c", "2", "-t", "5", self.state]
        print(checked(start), end="", flush=True)
        shell = ["bash", "-c", f"set -a; source {self.state}/env.sh; env -0"]
        os.environ.update(entry.split("=", 1) for entry in checked(shell).split("\0") if "=" in entry)
        os.environ["OMPI_MCA_btl_vader_backing_directory"] = self.segments
        os.environ["GOMP_SPINCOUNT"] = "1000"

    def __exit__(self, *_):
        subprocess.run([os.path.join(self.scripts, "stop-slurm"), self.state], timeout=120)
        shutil.rmtree(self.segments, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)

    def kill(self, node):
        checked([os.path.join(self.scripts, "kill-node"), self.state, node])


def fail_after(seconds):
    """The whole test, while there is time left to clean up before ctest kills it."""
    def fail(*_):
        raise Failed(f"all is not done after {seconds} s")
    signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)


def find_scripts():
    """Their folder; or says what is missing, and gives None."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    scripts = os.path.abspath(os.environ.get("TRIREME_TEST_CLUSTER", "../shared/cluster"))
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if not os.access(os.path.join(scripts, "start-slurm"), os.X_OK):
        missing.append(f"{scripts}/start-slurm (set TRIREME_TEST_CLUSTER)")
    if not missing:
        return scripts
    print("SKIPPED: training under Slurm, since there is no " + ", ".join(missing))
    return None


class SlurmJob:
    """`id` may be that of a task of an array, 7_2."""

    def __init__(self, id, output):
        self.id = id
        self.output = output

    def field(self, name):
        shown = re.search(rf"\b{name}=(\S*)", checked(["scontrol", "show", "job", self.id]))
        return shown.group(1) if shown else ""

    def state(self):
        return self.field("JobState")

    def nodes(self):
        """The one of the batch script and of the first ranks, and the others."""
        first = self.field("BatchHost")
        names = checked(["scontrol", "show", "hostnames", self.field("NodeList")]).split()
        return [first] + [name for name in names if name != first]

    def process(self, rank):
        """Of a rank that trains; ranks of all nodes run on this machine."""
        number = self.field("JobId")  # a task of an array has one of its own
        for name in filter(str.isdigit, os.listdir("/proc")):
            environment = environment_of(name)
            its_rank = environment.get("OMPI_COMM_WORLD_RANK", environment.get("PMIX_RANK"))
            command = read(f"/proc/{name}/cmdline").split("\0")
            if its_rank == str(rank) and environment.get("SLURM_JOB_ID") == number and "train" in command[1:2]:
                return int(name)
        raise Failed(f"job {self.id} has no rank {rank}:\n{self.end()}")

    def reaches(self, condition, what, limit_seconds=JOB_SECONDS):
        deadline = time.monotonic() + limit_seconds
        while not condition():
            state = self.state()
            require(state in LIVING, f"job {self.id} is {state} before it has {what}:\n{self.end()}")
            require(time.monotonic() < deadline, f"job {self.id} ({state}) has not {what} in time:\n{self.end()}")
            time.sleep(0.1)

    def is_requeued(self, times=1):
        return int(self.field("Restarts") or 0) >= times

    def finish(self, wanted="COMPLETED"):
        deadline = time.monotonic() + JOB_SECONDS
        while (state := self.state()) in LIVING:
            require(time.monotonic() < deadline, f"job {self.id} stays {state}:\n{self.end()}")
            time.sleep(0.2)
        require(state == wanted, f"job {self.id} ended {state}, not {wanted}:\n{self.end()}")

    def text(self):
        return read(self.output)

    def end(self):
        """Of what it wrote, for messages."""
        return self.text()[-3000:]


def submit(words, name, directory, environment=None):
    """trireme submit with the words of a `train` for that job's name; output files lie in the directory."""
    command = [words[0], "submit", *words[2:], "--job-name", name]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60,
                            stdin=subprocess.DEVNULL, env=os.environ | (environment or {}))
    require(result.returncode == 0, f"{' '.join(command)} ended with {result.returncode}: {result.stderr}")
    lines = result.stdout.strip().split("\n")
    require(lines[0] == "#!/bin/bash" and lines[-1].isdigit(), f"no script and number: {result.stdout}")
    return SlurmJob(lines[-1], os.path.join(directory, f"{name}-{lines[-1]}.out"))

#!/usr/bin/env python3
"""hang_test.py PROGRAM FAULTY_PROGRAM mpirun|srun|hosts|srun_hosts: trains on four ranks that wait for each other for ever, since
one is stopped, skips a call, makes another call, computes for ever, or its host is cut off. The watchdog must name the
right ranks in time, end the job with 76 and leave that in RUN/exit.json. FAULTY_PROGRAM is the program with planted
faults (planted_faults.cpp). srun: on the cluster of TRIREME_TEST_CLUSTER (../shared/cluster); hosts: between its network
namespaces (root only); where those are missing exit 77."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays as it is
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kills"))

from job import ENVIRONMENT, environment_of, segment_directory
from run_files import Failed, RunFiles, checked, read, require
from small_training import SmallTraining

LIMIT_SECONDS = 5  # --watchdog-timeout
PATIENCE_SECONDS = 10  # beyond it, on a machine with other work
START_SECONDS = 60
END_SECONDS = 60  # of the launcher, once the job was ended
LATE = r"^trireme\S* error: (rank.*)$"


class Start:
    """One job, whose ranks are found by an environment variable of its own."""

    def __init__(self, training, name, launcher, program, fault=""):
        self.run = RunFiles(training.program, training.path(name))
        self.output = training.path(name + ".txt")
        self.mark = training.path(name)
        words = training.words(self.run, 1000000, ["--checkpoint-every", "20", "--watchdog-timeout", str(LIMIT_SECONDS)])
        environment = os.environ | {"TRIREME_TEST_MARK": self.mark, "TRIREME_TEST_FAULT": fault}
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(launcher + [program] + words[1:], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, env=environment, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.send(signal.SIGKILL)

    def text(self):
        return read(self.output)

    def ranks(self):
        """{rank: process id}"""
        ranks = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            environment = environment_of(name)
            rank = environment.get("OMPI_COMM_WORLD_RANK", environment.get("PMIX_RANK"))
            command = read(f"/proc/{name}/cmdline").split("\0")
            if rank and environment.get("TRIREME_TEST_MARK") == self.mark and "train" in command[1:2]:
                ranks[int(rank)] = int(name)
        return ranks

    def send(self, signal_number):
        """To every rank."""
        for process in self.ranks().values():
            try:
                os.kill(process, signal_number)
            except ProcessLookupError:  # the launcher was quicker
                pass

    def train_until(self, step):
        deadline = time.monotonic() + START_SECONDS
        while self.run.logged_step() < step:
            require(self.process.poll() is None, f"the job ended before step {step}:\n{self.text()}")
            require(time.monotonic() < deadline, f"the job has not reached step {step} in time:\n{self.text()}")
            time.sleep(0.05)

    def named(self, since):
        """The line that names who is late, which must come in time after `since`."""
        deadline = since + LIMIT_SECONDS + PATIENCE_SECONDS
        while not (line := re.search(LATE, self.text(), re.MULTILINE)):
            require(time.monotonic() < deadline, f"nobody was named in time:\n{self.text()}\n{self.states()}")
            time.sleep(0.05)
        return line.group(1), time.monotonic() - since

    def states(self):
        return "\n".join(f"rank {rank}: " + read(f"/proc/{process}/status")[:60].replace("\n", " ")
                         for rank, process in sorted(self.ranks().items()))

    def end(self):
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"the job was not ended:\n{self.text()}\n{self.states()}") from None


def check(start, what, since, ranks, codes):
    """The verdict, the launcher's exit code and exit.json."""
    line, seconds = start.named(since)
    code = start.end()
    print(f"{what}: after {seconds:.1f} s: {line}", flush=True)
    require(code in codes if codes else code != 0, f"{what}: the launcher ended with {code}, not {codes}:\n{start.text()}")
    record = json.loads(read(os.path.join(start.run.path, "exit.json")) or "{}")
    require(record.get("code") == 76, f"{what}: exit.json holds {record}\n{start.text()}")
    require(record.get("ranks") == ranks, f"{what}: exit.json names {record}, not ranks {ranks}\n{start.text()}")
    said = re.findall(LATE, start.text(), re.MULTILINE)
    require(record["reason"] in said, f"{what}: exit.json says what nobody said: {record}\n{start.text()}")
    require(ranks == [0] or len(said) == 1, f"{what}: said more than once:\n{start.text()}")
    require(record["step"] == start.run.newest(), f"{what}: exit.json holds {record}, saved is {start.run.newest()}")


class Tests:
    def __init__(self, training, program, faulty, launcher, codes):
        self.training, self.program, self.faulty = training, program, faulty
        self.launcher = launcher
        self.codes = codes  # that the launcher may end with
        self.started = 0

    def start(self, program, fault=""):
        self.started += 1
        return Start(self.training, f"run-{self.started}", self.launcher, program, fault)

    def stopped(self, rank):
        with self.start(self.program) as start:
            start.train_until(5)
            process = start.ranks()[rank]
            os.kill(process, signal.SIGSTOP)
            since = time.monotonic()
            check(start, f"rank {rank} stopped", since, [rank], self.codes)

    def faulted(self, rank, call, fault):
        """`call`: GROUP OP POSITION."""
        with self.start(self.faulty, f"{rank} {call} {fault}") as start:
            deadline = time.monotonic() + START_SECONDS
            while f"planted fault: rank {rank} {fault}" not in start.text():
                require(time.monotonic() < deadline, f"the fault was not made in time:\n{start.text()}")
                time.sleep(0.05)
            check(start, f"rank {rank} {fault}s at {call}", time.monotonic(), [rank], self.codes)


def frozen(tests, ranks):
    """Ranks that are all stopped for longer than the limit, as a machine that is suspended, and go on: no alarm."""
    with tests.start(tests.program) as start:
        start.train_until(5)
        start.send(signal.SIGSTOP)
        time.sleep(LIMIT_SECONDS + 2)
        start.send(signal.SIGCONT)
        start.train_until(start.run.logged_step() + 20)
        time.sleep(1)
        require(start.process.poll() is None and not re.search(LATE, start.text(), re.MULTILINE),
                f"a false alarm after {ranks} ranks were stopped together:\n{start.text()}")
    print(f"{ranks} ranks stopped together for {LIMIT_SECONDS + 2} s go on", flush=True)


def on_mpirun(training, program, faulty):
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", "4"]
    tests = Tests(training, program, faulty, launcher, [76])
    tests.stopped(2)
    tests.stopped(0)
    tests.faulted(2, "dp reduce_scatter 100", "skip")
    tests.faulted(1, "dp reduce_scatter 100", "other")
    tests.faulted(3, "dp all_gather 100", "sleep")
    frozen(tests, 4)


def on_srun(training, program, faulty, scripts):
    state = tempfile.mkdtemp(prefix="slurm.", dir="/tmp")  # a short path: it names sockets
    try:
        print(checked([os.path.join(scripts, "start-slurm"), "-n", "4", "-c", "2", state]), end="", flush=True)
        take_environment(f"{state}/env.sh")
        launcher = ["srun", "--nodes=4", "--ntasks=4", "--kill-on-bad-exit=1"]
        tests = Tests(training, program, faulty, launcher, None)  # srun: the highest of its tasks, 137 for one
        tests.stopped(2)
        tests.stopped(0)
        tests.faulted(2, "dp reduce_scatter 100", "skip")
        tests.faulted(1, "dp reduce_scatter 100", "other")
    finally:
        subprocess.run([os.path.join(scripts, "stop-slurm"), state], timeout=120)


def on_hosts(training, program, scripts):
    """Four hosts with a rank each, and one for mpirun; one of them, then that of rank 0, is cut off. mpirun tells a
    daemon that is gone to end its ranks, and learns that it is gone when the kernel gives the message up, in 15 minutes;
    here after three attempts. (With OMPI_MCA_oob_tcp_keepalive_* it may learn it before, and then ends with 205.)"""
    for rank in (2, 0):
        cut_off(rank, training, program, os.path.join(scripts, "netns-hosts"))


def cut_off(rank, training, program, netns):
    state = tempfile.mkdtemp(prefix="hosts.", dir="/tmp")
    try:
        checked([netns, "up", state, "5", f"t{os.getpid() % 10000}{'abcd'[rank]}"])
        take_environment(f"{state}/env.sh")
        checked([netns, "exec", state, "5", "sh", "-c", "echo 3 >/proc/sys/net/ipv4/tcp_retries2"])
        prefix = read(f"{state}/prefix").strip()
        hosts = ",".join(f"{prefix}{i}:1" for i in range(1, 5))
        forwarded = ["-x", "TRIREME_TEST_MARK", "-x", "OMP_NUM_THREADS", "-x", "GOMP_SPINCOUNT"]
        launcher = [netns, "exec", state, "5", "mpirun", "--host", hosts, "-n", "4", *forwarded]
        with Start(training, f"run-cut-{rank}", launcher, program) as start:
            start.train_until(5)
            checked([netns, "cut", state, str(rank + 1)])
            check(start, f"host of rank {rank} cut off", time.monotonic(), [rank], [76])
    finally:
        subprocess.run([netns, "down", state], timeout=120)


def on_srun_hosts(training, program, scripts):
    """The same under srun, which itself ends when Slurm has given the node up, after half a minute."""
    netns = os.path.join(scripts, "netns-hosts")
    hosts, state = (tempfile.mkdtemp(prefix=prefix, dir="/tmp") for prefix in ("hosts.", "slurm."))
    try:
        checked([netns, "up", hosts, "4", f"t{os.getpid() % 10000}s"])
        checked([os.path.join(scripts, "start-slurm"), "-H", hosts, "-n", "4", "-c", "2", "-t", "5", state])
        take_environment(f"{state}/env.sh")
        launcher = ["srun", "--nodes=4", "--ntasks=4", "--kill-on-bad-exit=1"]
        with Start(training, "run-cut", launcher, program) as start:
            start.train_until(5)
            checked([netns, "cut", hosts, "3"])
            check(start, "node of rank 2 cut off", time.monotonic(), [2], None)
    finally:
        subprocess.run([os.path.join(scripts, "stop-slurm"), state], timeout=120)
        subprocess.run([netns, "down", hosts], timeout=120)


def take_environment(file):
    words = ["bash", "-c", f"set -a; source {file}; env -0"]
    os.environ.update(entry.split("=", 1) for entry in checked(words).split("\0") if "=" in entry)


def main():
    program, faulty = (os.path.abspath(word) for word in sys.argv[1:3])
    kind = sys.argv[3]
    scripts = os.path.abspath(os.environ.get("TRIREME_TEST_CLUSTER", "../shared/cluster"))
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    needed = (["munged", "slurmctld", "slurmd", "srun"] if "srun" in kind else []) + (["ip"] if "hosts" in kind else [])
    missing = [name for name in needed if shutil.which(name) is None]
    if kind != "mpirun" and not os.access(os.path.join(scripts, "netns-hosts"), os.X_OK):
        missing.append(f"{scripts} (set TRIREME_TEST_CLUSTER)")
    if "hosts" in kind and subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL).returncode != 0:
        missing.append("right to make network namespaces (root has it)")
    if missing:
        print(f"SKIPPED: hangs under {kind}, since there is no " + ", ".join(missing))
        return 77
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="trireme-hangs-") as directory:
        segments = segment_directory(directory)
        os.environ["OMPI_MCA_btl_vader_backing_directory"] = segments
        os.environ["TMPDIR"] = directory  # Open MPI leaves folders there when it is killed
        try:
            training = SmallTraining(program, directory)
            if kind == "mpirun":
                on_mpirun(training, program, faulty)
            elif kind == "srun":
                on_srun(training, program, faulty, scripts)
            elif kind == "hosts":
                on_hosts(training, program, scripts)
            else:
                on_srun_hosts(training, program, scripts)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
        finally:
            shutil.rmtree(segments, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""One start of a job under mpirun, or of the program alone, whose ranks can be killed and sent signals. What it leaves
in shared memory goes with its files."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from run_files import read

ENVIRONMENT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self,vader",
    "OMP_NUM_THREADS": "1",
    "GOMP_SPINCOUNT": "1000",
}


class Job:
    """Ends with the block of its `with`, whatever happens in it. Of 0 ranks: the program alone, without mpirun."""

    def __init__(self, ranks, words, directory, environment=None):
        self.ranks = ranks
        self.environment = os.environ | ENVIRONMENT | (environment or {})
        self.words = words
        self.output = os.path.join(directory, "output.txt")
        self.segments = segment_directory(directory)
        self.seen = set()  # process ids of ranks
        self.process = None
        self.launcher_hung = False
        self.started = None  # by the clock that only goes forward
        self.started_clock = None  # as files have it

    def __enter__(self):
        launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(self.ranks)]
        launcher += ["--mca", "btl_vader_backing_directory", self.segments]
        if self.ranks == 0:
            launcher = []
        self.started, self.started_clock = time.monotonic(), time.time()
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                launcher + self.words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_):
        self.rank_processes()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for process in self.living():
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.segments, ignore_errors=True)

    def rank_processes(self):
        """{rank: process id} of the ranks that run the program by now."""
        if self.ranks == 0:
            return {0: self.process.pid}
        ranks = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and parent_of(name) == self.process.pid:
                rank = environment_of(name).get("OMPI_COMM_WORLD_RANK")
                if rank is not None:
                    ranks[int(rank)] = int(name)
        self.seen |= set(ranks.values())
        return ranks

    def living(self):
        """Those of the ranks seen so far that have not ended, orphans too."""
        return [process for process in self.seen if self.segments in environment_of(process).values()]

    def kill_rank(self, random):
        """kill -9 of one; its rank, or None when there is none any more."""
        ranks = self.rank_processes()
        while not ranks and self.process.poll() is None:
            time.sleep(0.001)
            ranks = self.rank_processes()
        if not ranks:
            return None
        rank = random.choice(sorted(ranks))
        try:
            os.kill(ranks[rank], signal.SIGKILL)
        except ProcessLookupError:
            return None
        return rank

    def catches(self, number):
        """Do all ranks have a handler for this signal by now? (proc(5): SigCgt)"""
        ranks = self.rank_processes()
        masks = [re.search(r"^SigCgt:\s*(\w+)", read(f"/proc/{process}/status"), re.M) for process in ranks.values()]
        return len(ranks) == max(1, self.ranks) and all(
            mask and int(mask.group(1), 16) >> (number - 1) & 1 for mask in masks)

    def send(self, number, rank=None):
        """A signal to a rank, or to what was started: mpirun, or the program alone. False when it has just ended."""
        process = self.process.pid if rank is None else self.rank_processes().get(rank)
        try:
            if process is not None:
                os.kill(process, number)
        except ProcessLookupError:
            return False
        return process is not None

    def seconds(self):
        return time.monotonic() - self.started

    def wait(self, limit_seconds):
        """mpirun's exit code, or None when ranks have not ended. Open MPI 4.1.4 itself was seen hanging, with a PMIx
        error, when all its ranks were dead: that is not theirs, so it is killed and counted (launcher_hung)."""
        try:
            return self.process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            if self.living():
                return None
            self.launcher_hung = True
            self.process.kill()
            return self.process.wait()

    def text(self):
        return read(self.output)

    def state(self):
        """For people: what each process waits for."""
        lines = []
        for process in [self.process.pid, *sorted(self.seen)]:
            status = read(f"/proc/{process}/status").split("\n")
            state = [line for line in status if line.startswith(("Name:", "State:"))]
            wait = read(f"/proc/{process}/wchan")
            lines.append(f"process {process}: {' '.join(state) or 'gone'} {wait}".replace("\t", " "))
        return "\n".join(lines)


def segment_directory(otherwise):
    """For the shared memory of a job's ranks, which they leave behind when they are killed: no other job's is there."""
    return tempfile.mkdtemp(prefix="trireme-kill-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else otherwise)


def parent_of(process):
    after_name = read(f"/proc/{process}/stat").rpartition(")")[2].split()
    return int(after_name[1]) if len(after_name) > 1 else None


def environment_of(process):
    pairs = (entry.partition("=") for entry in read(f"/proc/{process}/environ").split("\0"))
    return {name: value for name, _, value in pairs}

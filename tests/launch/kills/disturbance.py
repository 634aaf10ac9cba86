"""Kills a rank of a running job at a random moment, and says what the job was at."""

import os
import time

from small_training import EVERY


class Undisturbed:
    """How long a run takes that nobody disturbs."""

    def __init__(self, run, steps, start_seconds, seconds):
        self.run = run
        self.steps = steps
        self.start_seconds = start_seconds  # until the log begins
        self.seconds = seconds

    def step_seconds(self):
        """Of a step, its share of the saves included."""
        return (self.seconds - self.start_seconds) / self.steps


class Kill:
    """One, and what came of it."""

    def __init__(self, rank, phase):
        self.rank = rank
        self.phase = phase
        self.end_seconds = None  # until mpirun had ended
        self.resumed = None  # the step that the next start went on from

    def text(self):
        return f"rank {self.rank} in {self.phase} -> {self.resumed}"


def logs(run, job):
    """Has this start logged a step, or at least opened the log?"""
    try:
        return os.stat(os.path.join(run.path, "log.jsonl")).st_mtime > job.started_clock
    except FileNotFoundError:
        return False


def phase_of(run, job):
    """What the job is at, by what lies on the disk at this moment."""
    if run.unfinished():
        return "save"
    if run.trash():
        return "deletion"
    return "step" if logs(run, job) else "start"


def reaches(job, condition):
    """Waits for it; false when the job ends before."""
    while not condition():
        if job.process.poll() is not None:
            return False
        time.sleep(0.001)
    return True


def wait_for_moment(run, job, choose, undisturbed):
    """A random moment of what is left to do; false when the job is done before. Half of them are aimed at a save, which
    is short beside the start of a job."""
    step_seconds = undisturbed.step_seconds()
    moment = choose.uniform(0, undisturbed.start_seconds + step_seconds * (undisturbed.steps - run.newest()))
    aimed, into_save = choose.random() < 0.5, choose.uniform(0, EVERY * step_seconds)
    if moment < undisturbed.start_seconds:
        time.sleep(moment)
    else:  # by steps done, since a machine with other work is slower than it was
        steps, part = divmod((moment - undisturbed.start_seconds) / step_seconds, 1)
        done = run.newest() + steps
        if not reaches(job, lambda: logs(run, job) and run.logged_step() >= done):
            return False
        time.sleep(part * step_seconds)
    if aimed:
        if not reaches(job, run.unfinished):
            return False
        time.sleep(into_save)
    return True


def disturb(run, job, choose, undisturbed):
    """Kills a rank at a random moment; the Kill, or None when the job was done before."""
    if not wait_for_moment(run, job, choose, undisturbed):
        return None
    phase = phase_of(run, job)
    rank = job.kill_rank(choose)
    return None if rank is None else Kill(rank, phase)

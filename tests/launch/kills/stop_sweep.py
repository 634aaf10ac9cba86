#!/usr/bin/env python3
"""stop_sweep.py PROGRAM [--trials N] [--seed N]: asks small trainings to stop, alone and under mpirun, once at a chosen
moment and then at random ones, starts them again with the same command until they are done, and holds each against one
that nobody disturbed. Then: a second signal, time limits. Exit 1 when a promise was not kept."""

import argparse
import concurrent.futures
import json
import os
import random
import re
import signal
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays as it is

from disturbance import reaches
from job import Job
from run_files import Failed, RunFiles, read, require
from small_training import SmallTraining

STEPS = 16
VALIDATED = 8  # and the last step
TRAIN = ["--validate-every", str(VALIDATED)]
JOB_SECONDS = 60
TRIES = 4
STOP_SECONDS = 15  # a step and a save take well below one; for a machine with other work
ENDLESS = ["--steps", "1000000", "--validate-every", "0"]
# ranks (0: alone), what is sent, to which rank (None: to mpirun, or the program alone), where the first one is aimed
CASES = [
    (0, signal.SIGINT, None, "validation"),
    (2, signal.SIGUSR1, None, "save"),
    (2, signal.SIGTERM, 1, "validation"),
    (0, signal.SIGTERM, None, "step"),
    (2, signal.SIGUSR1, None, "start"),
]


class Sweep:
    """The files that all trials share, and for each number of ranks a run that nobody disturbed."""

    def __init__(self, program, directory):
        self.training = SmallTraining(program, directory, words=8000, prepare=["--validation-fraction", "0.9"])
        self.undisturbed = {}

    def run(self, name):
        return RunFiles(self.training.program, self.training.path(name))

    def job(self, run, ranks, more=(), environment=None):
        words = self.training.words(run, STEPS, [*TRAIN, *more])
        directory = run.path + "-job"  # of its own: two may run beside each other
        os.makedirs(directory, exist_ok=True)
        return Job(ranks, words, directory, environment)

    def reference(self, ranks):
        if ranks not in self.undisturbed:
            run = self.run(f"undisturbed-{ranks}")
            with self.job(run, ranks) as job:
                code = job.wait(JOB_SECONDS)
                require(code == 0, f"the undisturbed run ended with {code}:\n{job.text()}")
                self.undisturbed[ranks] = run, job.seconds()
        return self.undisturbed[ranks]


def wait_for(aim, run, job, choose, seconds):
    """False when the job ended before. A save that is due together with a validation stays unfinished meanwhile."""
    if not reaches(job, lambda: job.catches(signal.SIGUSR1)):
        return False
    if aim == "validation":
        return reaches(job, lambda: any(name.startswith(f"step-{VALIDATED:09d}.tmp") for name in run.unfinished()))
    if aim == "save":
        return reaches(job, run.unfinished)
    if aim == "step":
        return reaches(job, run.log_lines)
    time.sleep(0 if aim == "start" else choose.uniform(0, seconds))
    return job.process.poll() is None


def line_of(run, step):
    return next(line for line in map(json.loads, run.log_lines()) if line["step"] == step)


def record_of(run):
    return json.loads(read(os.path.join(run.path, "exit.json")))


def check_stop(run, job, number, rank, logged):
    """`logged`: the newest step in the log just after the signal was sent. The step at which it stopped. How long
    mpirun takes to pass a signal on is its own affair."""
    said = re.findall(r"(\w+)( on rank \d)?: (?:saving )?step (\d+) .*to be started again \(exit 75\)", job.text())
    require(len(said) == 1, f"it should say once that it stops:\n{job.text()}")
    name, where, step = said[0]
    require(name == signal.Signals(number).name, f"it says {name}:\n{job.text()}")
    require(rank is None or where == f" on rank {rank}", f"it says '{where}':\n{job.text()}")
    steps = run.check_steps()
    require(steps and steps[-1] == int(step), f"step {step} is not the newest of {steps}")
    if job.ranks == 0 or rank is not None:
        require(int(step) <= logged + 2, f"step {logged} was logged, and it went on to step {step}")
    require(not run.unfinished(), f"left behind: {run.unfinished()}")
    record = record_of(run)
    require((record["code"], record["step"], record["reason"]) == (75, int(step), name + where), f"exit.json: {record}")
    return int(step)


def trial(sweep, case, choose, name):
    """Stopped at its moment, then at a random one, then left alone."""
    ranks, number, rank, aim = case
    undisturbed, seconds = sweep.reference(ranks)
    run = sweep.run(name)
    stops = []
    for moment in (aim, "random", None):
        with sweep.job(run, ranks) as job:
            disturbed = moment and wait_for(moment, run, job, choose, seconds) and job.send(number, rank)
            sent, logged = job.seconds(), run.logged_step()
            code = job.wait(JOB_SECONDS)
            if code == 75 and disturbed:
                seconds_to_end = job.seconds() - sent
                require(seconds_to_end < STOP_SECONDS, f"it took {seconds_to_end:.1f} s to stop:\n{job.text()}")
                step = check_stop(run, job, number, rank, logged)
                if moment == "validation":  # the next start makes it good, which check_equals sees
                    require(step == VALIDATED, f"it stopped at step {step}, not in the validation:\n{job.text()}")
                    require("validation_loss" not in line_of(run, step), f"step {step} was validated:\n{job.text()}")
                    require("and validated then" in job.text(), job.text())
                stops.append(f"{moment} -> step {step}, {seconds_to_end:.1f} s")
                continue
            require(code == 0, f"it ended with {code}, {moment}:\n{job.text()}")
            require(moment != aim, f"it was done before it could be stopped:\n{job.text()}")
            require(not os.path.exists(os.path.join(run.path, "exit.json")), "exit.json of an earlier start was left")
    run.check_equals(undisturbed)
    print(f"{name}: {ranks or 'no mpirun,'} {'ranks, ' if ranks else ''}{signal.Signals(number).name}: " +
          "; ".join(stops), flush=True)


def check_second_signal(sweep):
    """A step that takes long: signals of two kinds wait for its end, a second one of the same kind does not."""
    with sweep.job(sweep.run("second"), 0, ["--global-batch-size", "65536", "--microbatch-size", "32"]) as job:
        require(reaches(job, lambda: "copies of a step" in job.text()), f"it does not train:\n{job.text()}")
        for first in (signal.SIGUSR1, signal.SIGTERM):
            job.send(first)
            time.sleep(1.2)
            require(job.process.poll() is None, f"the first {first.name} ended it:\n{job.text()}")
        job.send(signal.SIGTERM)
        sent = job.seconds()
        code = job.wait(JOB_SECONDS)
        require(code == 128 + signal.SIGTERM, f"a second signal, SIGTERM, ended it with {code}:\n{job.text()}")
        require(job.seconds() - sent < 10, f"a second signal took {job.seconds() - sent:.1f} s")  # the step: a minute
        require("SIGTERM: the second one, ending at once" in job.text(), job.text())


def end_of(job):
    """Exit code, and when it had ended: seconds after its start, and by the clock that files have."""
    return job.wait(JOB_SECONDS), job.seconds(), time.time()


def check_time_limit(run, job, code, limit):
    """LIMIT is the name of one."""
    require(code == 75, f"the time limit ended it with {code}:\n{job.text()}")
    require(re.search(rf"ends by itself before \d\d:\d\d:\d\d: {limit};", job.text()), job.text())
    record = record_of(run)
    # On a slow machine no save may have been measured yet.
    reason = limit + r": [\d.]+ s left, a save takes [\d.]+ s( by an estimate)?"
    require(re.fullmatch(reason, record["reason"]), f"exit.json: {record}")
    require(run.check_steps()[-1] == record["step"], f"{run.steps()}, exit.json: {record}")
    return record["reason"]


def check_time_limits(sweep):
    """Of an option alone, and of a task of a Slurm array (a squeue that is ours) on two ranks."""
    squeue, asked = sweep.training.path("squeue"), sweep.training.path("squeue-asked")
    with open(squeue, "w") as file:
        file.write(f'#!/bin/sh\n[ "$*" = "-h --jobs=70_7 -o %L" ] && : >{asked} && echo 0:08\n')
    os.chmod(squeue, 0o755)
    slurm = {"SLURM_JOB_ID": "77", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "7",
             "PATH": os.path.dirname(squeue) + ":" + os.environ["PATH"]}
    alone, ranks = sweep.run("limit-alone"), sweep.run("limit-ranks")
    with (sweep.job(alone, 0, [*ENDLESS, "--time-limit", "8s"]) as one, sweep.job(ranks, 2, ENDLESS, slurm) as two,
          concurrent.futures.ThreadPoolExecutor() as threads):
        (code, seconds, _), (code_of_two, _, end) = threads.map(end_of, [one, two])
        reason = check_time_limit(alone, one, code, r"time limit of 8.0 s \(--time-limit\)")
        require(seconds < 8, f"a time limit of 8 s ended it after {seconds:.1f} s")
        print(f"{reason}; it ended after {seconds:.1f} s", flush=True)
        reason = check_time_limit(ranks, two, code_of_two, "time limit of Slurm job 77")
        seconds = end - os.stat(asked).st_mtime
        require(seconds < 8, f"squeue said 8 s, and it ended after {seconds:.1f} s")
        print(f"{reason}; it ended {seconds:.1f} s after squeue had said 8 s", flush=True)


def check_late(sweep):
    """Without time for a save that was measured, the step is given up; on an estimate alone none is."""
    run = sweep.run("late")
    with sweep.job(run, 0, [*ENDLESS, "--time-limit", "1"]) as job:  # a save counts as 1.03 s until one is measured
        code = job.wait(JOB_SECONDS)
        require(code == 75 and "saving step 1 and ending" in job.text(), f"it ended with {code}:\n{job.text()}")
    require(record_of(run)["step"] == 1 and run.check_steps() == [1], f"{record_of(run)}, {run.steps()}")
    for _ in range(TRIES):
        before = run.newest()
        with sweep.job(run, 0, [*ENDLESS, "--time-limit", "9s"]) as job:
            if not reaches(job, lambda: run.newest() > before) or "saving" in job.text():
                continue  # a slow machine
            job.send(signal.SIGSTOP)  # as a machine that stands still
            time.sleep(max(0, 9.1 - job.seconds()))
            job.send(signal.SIGCONT)
            code, newest = job.wait(JOB_SECONDS), run.newest()
        said = rf": 0\.0 s left, a save takes [\d.]+ s: step \d+ is not saved; the newest checkpoint is step {newest}\n"
        require(code == 75 and re.search(said, job.text()), f"it ended with {code}:\n{job.text()}")
        require(record_of(run)["step"] == newest, f"{record_of(run)}, {run.steps()}")
        print("without time" + re.search(said, job.text()).group().rstrip(), flush=True)
        return
    raise Failed(f"no start lived until its first save:\n{job.text()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("--trials", type=int, default=len(CASES))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="trireme-stops-") as directory:
        sweep = Sweep(options.program, directory)
        try:
            for index in range(options.trials):
                seed = options.seed + index
                trial(sweep, CASES[index % len(CASES)], random.Random(seed), f"seed-{seed}")
            check_second_signal(sweep)
            with concurrent.futures.ThreadPoolExecutor() as threads:  # they sleep
                list(threads.map(lambda check: check(sweep), [check_time_limits, check_late]))
        except Failed as failure:
            print(f"FAILED, seed {options.seed}: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

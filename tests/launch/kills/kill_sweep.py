#!/usr/bin/env python3
"""kill_sweep.py PROGRAM [--trials N] [--seed N] [--most-kills N] [--keep DIRECTORY]: trains small models on 2 and 4
ranks, kills a random rank with -9 at random moments, starts the job again with the same command until it is done, and
holds the run against one that nobody disturbed. Prints a Markdown table; exit 1 when a promise was not kept.

A seed chooses layout, number of kills, ranks and delays; what the program is doing when the delay is over is the
machine's choice, so a seed repeats a trial only roughly. Trial I of seed S is trial 0 of seed S + I."""

import argparse
import os
import random
import re
import shutil
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # the source tree stays as it is

from disturbance import Undisturbed, disturb
from job import Job
from run_files import Failed, RunFiles, require
from small_training import EVERY, SmallTraining

STEPS = 16
HANG_SECONDS = 30  # mpirun ends all ranks within 2 s of a death; this is for a machine with other work
JOB_SECONDS = 120
TRIES = 3  # of a trial whose run was done before its first kill
ENOUGH_TRIALS = 10  # to say that kills are too few
LAYOUTS = [  # ranks, what is said of them, words
    (2, "dp 2, ZeRO 1", ["--zero-stage", "1"]),
    (2, "tp 2", ["--tensor-parallel", "2"]),
    (2, "pp 2", ["--pipeline-parallel", "2"]),
    (4, "dp 2 x tp 2, ZeRO 1", ["--tensor-parallel", "2", "--zero-stage", "1"]),
]


class Sweep:
    """The files that all trials share, and for each layout a run that nobody disturbed."""

    def __init__(self, program, directory):
        self.training = SmallTraining(program, directory)
        self.undisturbed = {}  # by layout

    def run(self, name):
        return RunFiles(self.training.program, self.training.path(name))

    def job(self, run, layout):
        ranks, _, words = LAYOUTS[layout]
        return Job(ranks, self.training.words(run, STEPS, words), self.training.directory)

    def reference(self, layout):
        if layout not in self.undisturbed:
            run = self.run(f"undisturbed-{layout}")
            with self.job(run, layout) as job:
                while job.process.poll() is None and not run.log_lines():
                    time.sleep(0.005)
                start_seconds = job.seconds()
                code = job.wait(JOB_SECONDS)
                require(code == 0, f"the undisturbed run ended with {code}:\n{job.text()}")
                self.undisturbed[layout] = Undisturbed(run, STEPS, start_seconds, job.seconds())
        return self.undisturbed[layout]


def check_after(run, before, kill, job):
    """What must hold as soon as mpirun has ended: older checkpoints are whole, and at most one is unfinished."""
    steps = run.check_steps()
    require(max(steps, default=0) >= max(before, default=0), f"committed steps were lost: {before} -> {steps}")
    require(len(run.unfinished()) <= 1, f"several unfinished saves: {run.unfinished()}")
    require(not job.living(), f"ranks outlive mpirun:\n{job.state()}")


def check_resume(job, newest):
    """The job went on from the newest committed step and from nothing else, if it lived long enough to say so."""
    text = job.text()
    require("falling back" not in text, f"it fell back, though no step was damaged:\n{text}")
    resumed = re.findall(r"resumed from step (\d+) ", text)
    trained = re.search(rf"^step \d+/{STEPS} ", text, re.MULTILINE)
    expected = [str(newest)] if newest > 0 and (resumed or trained) else []
    require(resumed == expected, f"it did not go on from step {newest}:\n{text}")


class Trial:
    def __init__(self, sweep, seed, most_kills):
        self.choose = random.Random(seed)
        self.layout = self.choose.randrange(len(LAYOUTS))
        self.kills_wanted = self.choose.randint(1, most_kills)
        self.undisturbed = sweep.reference(self.layout)
        self.sweep = sweep
        self.run = sweep.run(f"run-{seed}")
        self.kills = []
        self.launcher_hangs = 0
        self.seconds = 0

    def go(self):
        for _ in range(TRIES):
            self.seconds = 0
            while not self.start_once():
                pass
            shutil.rmtree(self.run.path)
            if self.kills:
                return

    def start_once(self):
        """One start of the job; true when it was the last."""
        before = self.run.steps()
        newest = max(before, default=0)
        kill = None
        with self.sweep.job(self.run, self.layout) as job:
            if self.kills and self.kills[-1].resumed is None:
                self.kills[-1].resumed = newest
            if len(self.kills) < self.kills_wanted:
                kill = disturb(self.run, job, self.choose, self.undisturbed)
            killed_at = job.seconds()
            code = job.wait(HANG_SECONDS if kill else JOB_SECONDS)
            require(code is not None, f"the job hangs:\n{job.state()}\n{job.text()}")
            self.launcher_hangs += job.launcher_hung
            self.seconds += job.seconds()
            check_resume(job, newest)
            if kill and code != 0:
                kill.end_seconds = None if job.launcher_hung else job.seconds() - killed_at
                self.kills.append(kill)
                check_after(self.run, before, kill, job)
                return False
            require(code == 0, f"the job ended with {code}, though nobody killed it:\n{job.text()}")
        self.check_end(saved=newest < STEPS)
        return True

    def check_end(self, saved):
        """`saved`: the last start did. Otherwise a kill after the last commit may have left something to delete."""
        steps = self.run.check_steps()
        require(steps[-2:] == [STEPS - EVERY, STEPS], f"steps that are left: {steps}")
        debris = self.run.unfinished() + self.run.trash() + steps[:-2]
        require(not (saved and debris), f"left behind after a whole save: {debris}")
        self.run.check_equals(self.undisturbed.run)

    def seconds_lost(self):
        return self.seconds - self.undisturbed.seconds


def print_sums(trials):
    kills = [kill for trial in trials for kill in trial.kills]
    phases = {phase: sum(kill.phase == phase for kill in kills) for phase in ("start", "step", "save", "deletion")}
    print(f"\n{len(trials)} trials, {len(kills)} kills: " +
          ", ".join(f"{count} in a {phase}" for phase, count in phases.items()))
    if not kills:
        return
    ends = [kill.end_seconds for kill in kills if kill.end_seconds is not None] or [0]
    lost = [trial.seconds_lost() / len(trial.kills) for trial in trials if trial.kills]
    hangs = sum(trial.launcher_hangs for trial in trials)
    if hangs:
        print(f"mpirun itself hung {hangs} times with all its ranks dead, and was killed")
    print(f"mpirun ended within {max(ends):.1f} s of a kill (median {statistics.median(ends):.1f}); a kill cost "
          f"{statistics.median(lost):.1f} s (median; largest {max(lost):.1f})")


def check_kills(trials):
    """A sweep whose kills come too late has disturbed nobody, and shown nothing."""
    if len(trials) < ENOUGH_TRIALS:
        return
    kills = [kill for trial in trials for kill in trial.kills]
    require(len(kills) >= len(trials), f"only {len(kills)} kills in {len(trials)} trials")
    in_saves = sum(kill.phase == "save" for kill in kills)
    require(in_saves >= len(trials) // ENOUGH_TRIALS, f"only {in_saves} kills during a save in {len(trials)} trials")


def sweep_through(options, sweep):
    """All trials, a line each; how many failed."""
    trials, failures = [], 0
    print("| seed | layout | kills: rank in phase -> step resumed from | seconds, undisturbed | lost |")
    print("|---" * 5 + "|")
    for seed in range(options.seed, options.seed + options.trials):
        trial = Trial(sweep, seed, options.most_kills)
        layout = LAYOUTS[trial.layout][1]
        try:
            trial.go()
        except Failed as failure:
            failures += 1
            print(f"FAILED: seed {seed}, {layout}, {[kill.text() for kill in trial.kills]}: {failure}", flush=True)
            continue
        trials.append(trial)
        kills = "; ".join(kill.text() for kill in trial.kills) or "none: done before"
        print(f"| {seed} | {layout} | {kills} | {trial.seconds:.1f}, {trial.undisturbed.seconds:.1f} | "
              f"{trial.seconds_lost():.1f} |", flush=True)
    print_sums(trials)
    try:
        check_kills(trials)
    except Failed as failure:
        failures += 1
        print(f"FAILED: {failure}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--most-kills", type=int, default=3, help="kills of a trial: 1 to this many")
    parser.add_argument("--keep", help="a directory for the runs; what failed stays there")
    options = parser.parse_args()
    directory = os.path.abspath(options.keep) if options.keep else tempfile.mkdtemp(prefix="trireme-kills-")
    os.makedirs(directory, exist_ok=True)
    try:
        failures = sweep_through(options, Sweep(options.program, directory))
    finally:
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    if failures:
        print(f"FAILED: {failures}, in {options.trials} trials")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

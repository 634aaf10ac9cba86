"""What a run's directory says, and what must hold of it after a failure and at the end."""

import json
import os
import re
import subprocess


class Failed(Exception):
    """A promise that was not kept."""


def require(holds, what):
    if not holds:
        raise Failed(what)


def read(path):
    """The text of a file; "" when it is not there, as what /proc has of a process that ended."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def checked(words, limit_seconds=120):
    """Output of a program that must end with 0."""
    result = subprocess.run(words, capture_output=True, text=True, timeout=limit_seconds, stdin=subprocess.DEVNULL)
    require(result.returncode == 0, f"{' '.join(words)} ended with {result.returncode}: {result.stdout}{result.stderr}")
    return result.stdout


class RunFiles:
    def __init__(self, program, path):
        self.program = program
        self.path = path
        self.checkpoints = os.path.join(path, "checkpoints")

    def names(self):
        try:
            return sorted(os.listdir(self.checkpoints))
        except FileNotFoundError:
            return []

    def steps(self):
        """Committed ones, ascending."""
        return [int(name[5:]) for name in self.names() if re.fullmatch(r"step-\d+", name)]

    def newest(self):
        return max(self.steps(), default=0)

    def unfinished(self):
        return [name for name in self.names() if re.fullmatch(r"step-\d+\.tmp-.*", name)]

    def trash(self):
        return [name for name in self.names() if name.startswith("trash-")]

    def log_lines(self):
        return [line for line in read(os.path.join(self.path, "log.jsonl")).split("\n") if line]

    def logged_step(self):
        """The newest; 0: none."""
        for line in reversed(self.log_lines()):
            try:
                return json.loads(line)["step"]
            except ValueError:  # half a line
                continue
        return 0

    def step_directory(self, step):
        return os.path.join(self.checkpoints, f"step-{step:09d}")

    def check_steps(self):
        """Every committed step is whole, and nothing was set aside; returns them."""
        steps = self.steps()
        for step in steps:
            checked([self.program, "checkpoint", "verify", self.step_directory(step)])
        aside = [name for name in self.names() if name.startswith("aside-")]
        require(not aside, f"set aside, though nothing was damaged: {aside}")
        return steps

    def check_equals(self, undisturbed):
        """The same training, to the bit: newest checkpoints, and what is logged of every step."""
        outcome = checked([self.program, "checkpoint", "diff", undisturbed.path, self.path])
        require("identical" in outcome, f"checkpoint diff: {outcome}")
        here, there = ([json.loads(line) for line in run.log_lines()] for run in (self, undisturbed))
        logged, wanted = ([line["step"] for line in lines] for lines in (here, there))
        require(logged == sorted(set(logged)), f"steps in the log: {logged}")
        expected = dict(zip(wanted, there))
        for step, line in zip(logged, here):
            for key in ("loss", "grad_norm", "learning_rate", "validation_loss"):
                require(line.get(key) == expected[step].get(key),
                        f"{key} of step {step}: {line.get(key)}, undisturbed {expected[step].get(key)}")
        require(logged == wanted, f"the log misses steps {sorted(set(wanted) - set(logged))}")

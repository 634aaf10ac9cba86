#!/usr/bin/env python3
"""quiet_test.py FAULTY_PROGRAM [--minutes M] [--limit SECONDS] [--sync SECONDS] [--neighbours N]: trains on four ranks
beside busy neighbours, on a disk that takes its time to sync, with validations, and the watchdog must say nothing. Some
steps of it; or for so many minutes, with validations that take longer than the limit. FAULTY_PROGRAM is the program with
planted faults (planted_faults.cpp), which can make a disk slow."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the source tree stays as it is
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "kills"))

from job import Job
from run_files import Failed, RunFiles, checked, read, require
from small_training import SmallTraining

RANKS = 4


class BusyNeighbours:
    def __init__(self, count):
        self.count = count

    def __enter__(self):
        self.processes = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(self.count)]

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def prepare(training, copies):
    """Data of which nine tenths are for validation."""
    text = training.path("long.txt")
    with open(text, "w") as file:
        file.write(read(training.path("corpus.txt")) * copies)
    shutil.rmtree(training.path("data"))
    checked([training.program, "prepare", "--input", text, "--output", training.path("data"), "--tokenizer", "byte",
             "--validation-fraction", "0.9"])


def train(program, directory, minutes, limit_seconds, neighbours):
    training = SmallTraining(program, directory)
    prepare(training, copies=100 if minutes else 10)
    run = RunFiles(program, training.path("run"))
    length, expected_code = (["--time-limit", f"{minutes}m"], 75) if minutes else (["--stop-at-step", "45"], 0)
    words = training.words(run, 1000000, ["--checkpoint-every", "10", "--validate-every", "15", *length,
                                          "--watchdog-timeout", str(limit_seconds)])
    with BusyNeighbours(neighbours), Job(RANKS, words, directory) as job:
        code = job.wait(60 * (minutes or 0) + 300)
        require(code == expected_code, f"the job ended with {code}, not {expected_code}:\n{job.text()}")
        alarm = re.search(r"has not arrived|watches|watched|watchdog", job.text())
        require(not alarm, f"a false alarm, or ranks that nobody watched:\n{job.text()}")
        seconds = job.seconds()
    lines = [json.loads(line) for line in run.log_lines()]
    saves = [line["checkpoint_seconds"] for line in lines if "checkpoint_seconds" in line]
    validations = [line["eval_seconds"] for line in lines if "eval_seconds" in line]
    steps = [line["step_seconds"] for line in lines]
    require(steps and saves and validations, f"{len(steps)} steps, {len(saves)} saves, {len(validations)} validations")
    require(not minutes or max(validations) > limit_seconds, f"validations took {max(validations):.1f} s at most")
    print(f"no alarm in {seconds:.0f} s with a limit of {limit_seconds:g} s: {len(steps)} steps (longest "
          f"{max(steps):.1f} s), {len(saves)} saves (longest wait {max(saves):.1f} s), {len(validations)} validations "
          f"(longest {max(validations):.1f} s), {RANKS} ranks and {neighbours} neighbours on "
          f"{os.cpu_count()} cores")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--minutes", type=int)
    parser.add_argument("--limit", type=float, default=5)
    parser.add_argument("--sync", type=float, default=0.2, help="seconds of an fsync more than it takes")
    parser.add_argument("--neighbours", type=int, default=(os.cpu_count() or 1) + 1, help="busy loops beside the ranks")
    arguments = parser.parse_args()
    os.environ["TRIREME_TEST_SYNC_SECONDS"] = str(arguments.sync)
    with tempfile.TemporaryDirectory(prefix="trireme-quiet-") as directory:
        try:
            train(os.path.abspath(arguments.program), directory, arguments.minutes, arguments.limit, arguments.neighbours)
        except Failed as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""checkpoints_table.py SAVES_LOG LOG RAW RESUMES: the table of checkpoints.sh. The logs are log.jsonl's lines; RAW has
"bytes start end" of each write, RESUMES "start end step", where end is when that step's line was there."""

import json
import statistics
import sys


def lines(path):
    with open(path) as file:
        return file.read().splitlines()


def spread(values, form="{:.2f}"):
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


def main(saves_log, log, raw, resumes):
    # The first steps make plans and touch memory; the last save is waited for, whatever it is elsewhere.
    steps = [json.loads(line) for line in lines(saves_log)][2:-1]
    saves = [i for i, step in enumerate(steps) if "checkpoint_seconds" in step]
    behind = [steps[i + 1 : i + 4] for i in saves]
    busy = {step["step"] for group in behind for step in group}
    calm = [step["step_seconds"] for step in steps if step["step"] not in busy]
    median = statistics.median(calm)
    waited = [steps[i]["checkpoint_seconds"] for i in saves]
    slower = [sum(step["step_seconds"] - median for step in group) for group in behind]
    cost = [stall + more for stall, more in zip(waited, slower)]
    of_step = {step["step"]: step for step in map(json.loads, lines(log))}
    writes = [[float(word) for word in line.split()] for line in lines(raw)]
    raw_seconds = [end - start for _, start, end in writes]
    starts = []
    for line in lines(resumes):
        start, end, step = line.split()
        starts.append(float(end) - float(start) - of_step[int(step)]["step_seconds"])
    print(f"\nMedian (lowest to highest); a checkpoint of {writes[0][0] / 1e9:.2f} GB.\n")
    print("| | seconds | of a median step |\n|---|---|---|")
    print(f"| step, no save near | {spread(calm)} | |")
    for what, seconds in {
        f"stall: what training waited for each of {len(saves)} saves": waited,
        "stall, and what the three steps behind were slower": cost,
    }.items():
        print(f"| {what} | {spread(seconds)} | {spread([one / median for one in seconds])} |")
    print(f"| raw write and fsync of the same bytes | {spread(raw_seconds)} | |")
    print(f"| resume, process start to first step, less that step | {spread(starts)} | |")


if __name__ == "__main__":
    main(*sys.argv[1:])

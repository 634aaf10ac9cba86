"""plan_table.py measured|published FILE: the tables of plan.sh, whose lines "name<tab>note<tab>JSON of layout_bench" FILE has."""

import json
import statistics
import sys

PARTS = ("compute", "tp", "bubble", "dp", "update")


def read(path):
    """(name, note, result) of each run."""
    with open(path) as lines:
        for line in lines:
            name, note, text = line.rstrip("\n").split("\t")
            yield name, note, json.loads(text)


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def percent(part):
    return f"{100 * part:+.1f}%"


def error(result):
    return result["predicted"]["step_seconds"] / statistics.median(result["step_seconds"]) - 1


def split(predicted):
    return ", ".join(f"{predicted[part + '_seconds']:.3f}" for part in PARTS)


def by_op(result):
    """Seconds of each op of the slowest rank by its profile, predicted and profiled, those that differ most first."""
    ranks = result["of_rank"]
    rank = max(range(len(ranks)), key=lambda i: sum(ranks[i]["op_seconds"].values()))
    predicted = result["predicted"]["op_seconds"][ranks[rank]["pp"]]
    profiled = ranks[rank]["op_seconds"]
    names = sorted(set(predicted) | set(profiled), key=lambda op: -abs(predicted.get(op, 0) - profiled.get(op, 0)))
    return rank, [(op, predicted.get(op, 0), profiled.get(op, 0)) for op in names]


def measured(runs):
    results = {}
    for name, _, result in runs:
        results.setdefault(name, []).append(result)
    head("layout", "predicted, s", "measured, s: median of 5 steps", "error", "predicted: " + ", ".join(PARTS))
    for name, rounds in results.items():
        middle = sorted(rounds, key=error)[len(rounds) // 2]
        seconds = [f"{statistics.median(result['step_seconds']):.3f}" for result in rounds]
        predicted = [f"{result['predicted']['step_seconds']:.3f}" for result in rounds]
        errors = [error(result) for result in rounds]
        row(
            name,
            " ".join(predicted),
            " ".join(seconds),
            f"{percent(error(middle))} ({percent(min(errors))} to {percent(max(errors))})",
            split(middle["predicted"]),
        )
    print("\nWhere the time of a step goes, of the middle round: ops of the busiest rank, predicted and profiled (the mean of those 5 steps), ms.\n")
    head("layout", "all ops", "those that differ most")
    for name, rounds in results.items():
        rank, ops = by_op(sorted(rounds, key=error)[len(rounds) // 2])
        sums = [sum(op[i] for op in ops) for i in (1, 2)]
        cells = [f"{op} {1e3 * a:.1f} / {1e3 * b:.1f}" for op, a, b in ops[:4]]
        row(f"{name}, rank {rank}", f"{1e3 * sums[0]:.0f} / {1e3 * sums[1]:.0f}", "; ".join(cells))


def megatron_flops_per_token(model, T):
    """Narayanan et al. 2021, attention not halved: 72 L C^2 (1 + T / 6C + V / 12 L C)."""
    L, C, V = model["n_layer"], model["n_embd"], model["vocab_size"]
    return 72 * L * C * C * (1 + T / (6 * C) + V / (12 * L * C))


def published(runs):
    head("run", "layout", "published, tokens/s a GPU", "predicted", "error", "predicted: s of a step; " + ", ".join(PARTS))
    for name, figure, result in runs:
        if figure.startswith("TF"):
            with open(result["model"]) as file:
                flops = megatron_flops_per_token(json.load(file), result["sequence_length"])
            rate = float(figure[2:]) * 1e12 / flops
        else:
            rate = float(figure)
        predicted = result["predicted"]["tokens_per_second"] / result["ranks"]
        axes = f"tp {result['tensor_parallel']}, dp {result['data_parallel']}, pp {result['pipeline_parallel']}"
        layout = f"{axes}, ZeRO {result['zero_stage']}, {result['microbatches']} x {result['microbatch_size']} x {result['sequence_length']}"
        step = result["predicted"]["step_seconds"]
        row(name, layout, f"{rate:.0f}", f"{predicted:.0f}", percent(predicted / rate - 1), f"{step:.3f}; {split(result['predicted'])}")


if __name__ == "__main__":
    kind, path = sys.argv[1:]
    {"measured": measured, "published": published}[kind](list(read(path)))

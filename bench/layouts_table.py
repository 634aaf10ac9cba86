"""layouts_table.py memory|speed FILE: the tables of layouts.sh, whose lines "name<tab>round<tab>JSON of layout_bench" FILE has.

The expected bytes are arithmetic on GPT-2's sizes, apart from the code that plans: fp32, padding left out."""

import json
import statistics
import sys

WIDTH, LAYERS, HEADS, POSITIONS, VOCABULARY = 768, 12, 12, 1024, 50257  # gpt2-124m
MEGA = 1e6


def read(path):
    """(name, round, result) of each run."""
    with open(path) as lines:
        for line in lines:
            name, round_name, text = line.rstrip("\n").split("\t")
            yield name, round_name, json.loads(text)


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*cells):
    row(*cells)
    print("|" + "---|" * len(cells))


def stage_elements(result, stage):
    """Parameters of a rank of that stage: those of its layers, and the others."""
    C, tp, stages = WIDTH, result["tensor_parallel"], result["pipeline_parallel"]
    # Norms and the biases behind sums over tp are whole on each rank; all else is cut.
    layer = (12 * C * C + 7 * C) / tp + 6 * C
    first, last = stage == 0, stage == stages - 1
    other = (VOCABULARY * C / tp) * (first or last) + POSITIONS * C * first + 2 * C * last
    return layer, result["layers"][stage] * layer, other


def expected(result, stage):
    """Bytes of parameters, gradients, optimizer, passing buffers and activations of a rank of that stage."""
    dp, zero = result["data_parallel"], result["zero_stage"] if result["data_parallel"] > 1 else 0
    layer, layers, other = stage_elements(result, stage)
    whole = layers + other
    # Embeddings and head stay as at stage 1.
    parameters = 4 * (layers / dp + other if zero == 3 else whole)
    gradients = 4 * (layers / dp + other if zero >= 2 else whole)
    optimizer = 8 * whole / (dp if zero >= 1 else 1)
    passing = 4 * layer * {2: 2, 3: 4}.get(zero, 0)
    # Two norms with their inputs, q, k, v, heads and two of the feed-forward: 16 C numbers a token, four statistics and a
    # log of sums a head. zb-h1 keeps the gradients of what is multiplied, 9 C, too. The stream's first and last state lie in
    # the slots of the first and last stage; between them it arrives in pipeline buffers.
    numbers = {"none": 16, "selective": 10, "full": 1}[result["recompute"]] * WIDTH
    numbers += (HEADS + 4) * (result["recompute"] != "full")
    stages, m = result["pipeline_parallel"], result["microbatches"]
    in_flight = min(m, stages - stage)
    if result["pipeline_schedule"] == "zb-h1":
        numbers += 9 * WIDTH
        in_flight = min(m, stages)
    tokens = result["microbatch_size"] * result["sequence_length"] / result["tensor_parallel"]
    slots = 4 * in_flight * tokens * (result["layers"][stage] * numbers + WIDTH * ((stage == 0) + (stage == stages - 1)))
    return parameters, gradients, optimizer, passing, slots


def largest(result):
    return max(rank["planned_bytes"] for rank in result["of_rank"])


def memory(runs):
    dry = [(name, result) for name, round_name, result in runs if round_name == "dry"]
    totals = {(name, result["microbatch_size"]): largest(result) for name, result in dry}
    one = totals[("one rank", 4)]
    longest = [(name, result) for name, result in dry if result["microbatch_size"] == 4]
    T = longest[0][1]["sequence_length"]
    print(f"\nMB of a rank, planned / by arithmetic, 8 microbatches of 4 x {T} tokens:\n")
    head("layout", "parameters", "gradients", "optimizer", "ZeRO buffers", "activations", "pipeline buffers", "scratch", "all")
    for name, result in longest:
        for stage in range(result["pipeline_parallel"]):
            rank = next(rank for rank in result["of_rank"] if rank["pp"] == stage)
            planned = [rank[key] for key in ("parameter_bytes", "gradient_bytes", "optimizer_bytes", "rest_bytes", "slot_bytes")]
            pairs = [f"{a / MEGA:.1f} / {b / MEGA:.1f}" for a, b in zip(planned, expected(result, stage))]
            place = f", stage {stage}: {result['layers'][stage]} layers" if result["pipeline_parallel"] > 1 else ""
            row(name + place, *pairs, *[f"{rank[key] / MEGA:.1f}" for key in ("pipeline_bytes", "scratch_bytes", "planned_bytes")])
    print(f"\nMB of the fullest rank, planned, by the sequences of a microbatch; T = {T}:\n")
    head("layout", "ranks", "1", "2", "4", "4, of one rank's")
    for name, result in longest:
        sizes = [totals[(name, B)] for B in (1, 2, 4)]
        row(name, result["ranks"], *[f"{size / MEGA:.0f}" for size in sizes], f"{sizes[-1] / one:.1%}")
    print("\nMB of runs, 1 x 256 tokens, of each rank: planned; staging of messages; resident (VmHWM) more than before:\n")
    head("layout", "planned", "staging", "resident, grown", "unplanned", "sent in a step, MB (planned)")
    for name, round_name, result in runs:
        if round_name != "run":
            continue
        for rank in result["of_rank"]:
            grown = rank["resident_bytes"] - rank["resident_before_bytes"]
            unplanned = grown - rank["planned_bytes"] - rank["staging_bytes"]
            sent, meant = (sum(rank[key].values()) for key in ("sent_bytes", "planned_sent_bytes"))
            cells = [rank["planned_bytes"], rank["staging_bytes"], grown, unplanned]
            coordinate = f", rank {result['of_rank'].index(rank)}" if result["ranks"] > 1 else ""
            row(name + coordinate, *[f"{cell / MEGA:.1f}" for cell in cells], f"{sent / MEGA:.1f} ({meant / MEGA:.1f})")


def spread(values, form):
    return f"{form(statistics.median(values))} ({form(min(values))} to {form(max(values))})"


def reference_of(name):
    """The one rank that a layout is held against: that of the same microbatches."""
    return "one rank, " + name.split(", ")[-1].removesuffix(" a rank").removesuffix(" each")


def bar_of(name, result):
    if name.startswith("dp"):
        return "92.0%"
    if not name.startswith("pp"):
        return ""
    microbatches = result["microbatches"]
    bound = microbatches / (microbatches + 1) * result["balance"]
    return f"{0.92 * bound:.1%} (92% of {bound:.3f})"


def by_flops(result):
    """Mean over largest work of the stages, of the sequences that were run."""
    flops = [rank["flops"] for rank in result["of_rank"]]
    return f"{sum(flops) / len(flops) / max(flops):.3f}" if result["pipeline_parallel"] > 1 else ""


def speed(runs):
    rates, results = {}, {}
    for name, round_name, result in runs:
        of_round = rates.setdefault(name, {})
        of_round[round_name] = of_round.get(round_name, 0) + result["tokens_per_second"]  # strangers are two runs
        results.setdefault(name, []).append(result)
    head("layout", "tokens/s", "against twice one rank", "bar", "layers, balance, by flops", "forward, backward, waiting, update of each rank, s")
    for name, of_round in rates.items():
        result = results[name][0]
        reference = rates[reference_of(name)]
        ratios = [rate / (2 * reference[round_name]) for round_name, rate in of_round.items()]
        is_reference = name.startswith("one rank")
        phases = []
        for rank in range(result["ranks"]):
            seconds = [
                statistics.median(run["of_rank"][rank][key] for run in results[name])
                for key in ("forward_seconds", "backward_seconds", "wait_seconds", "update_seconds")
            ]
            phases.append(", ".join(f"{value:.2f}" for value in seconds))
        cut = f"{result['layers']}, {result['balance']:.3f}, {by_flops(result)}" if result["pipeline_parallel"] > 1 else ""
        row(
            name,
            spread(list(of_round.values()), lambda value: f"{value:.1f}"),
            "" if is_reference else spread(ratios, lambda value: f"{value:.1%}"),
            bar_of(name, result),
            cut,
            "; ".join(phases),
        )


if __name__ == "__main__":
    kind, path = sys.argv[1:]
    {"memory": memory, "speed": speed}[kind](list(read(path)))

"""gpu_pytorch.py time|losses: GPT-2 in plain PyTorch, to be held against step_bench on the same device in the same run.

  time    seconds of whole training steps (forward, backward, clipping, AdamW): --model, --batch, --sequence-length,
          --mode eager|compile, --attention default|cudnn; one JSON object to --json.
  losses  trains from the weights and the batch that `step_bench --export DIRECTORY` left there, and holds the losses of
          its steps against PyTorch's: exit 1 when they are further apart than rounding explains.

Precision is as in Trireme: parameters and activations bf16, AdamW on fp32 masters (its fused kernel), gradients copied
to fp32 before clipping. Against torch.autocast that spares PyTorch the casts of every weight and the fp32 residual
stream: the faster of the two. The vocabulary is padded to a multiple of 64 where time is measured. compile: the whole
model, or with --compile-blocks each block and the loss alone, which takes seconds instead of minutes for 48 layers.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

# layers, heads, width
MODELS = {
    "tiny": (2, 2, 32),
    "gpt2-124m": (12, 12, 768),
    "gpt2-350m": (24, 16, 1024),
    "gpt2-774m": (36, 20, 1280),
    "gpt2-1558m": (48, 25, 1600),
}
VOCABULARY = 50257
HOPPER_SHEET_FLOPS = 989e12


class Block(nn.Module):
    def __init__(self, heads, width, epsilon):
        super().__init__()
        self.heads = heads
        self.input_layernorm = nn.LayerNorm(width, epsilon)
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.o_proj = nn.Linear(width, width)
        self.post_attention_layernorm = nn.LayerNorm(width, epsilon)
        self.up_proj = nn.Linear(width, 4 * width)
        self.down_proj = nn.Linear(4 * width, width)

    def forward(self, x):
        B, T, C = x.shape
        qkv = self.qkv_proj(self.input_layernorm(x))
        q, k, v = (part.view(B, T, self.heads, -1).transpose(1, 2) for part in qkv.split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o_proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.down_proj(F.gelu(self.up_proj(self.post_attention_layernorm(x)), approximate="tanh"))


def cross_entropy(x, table, targets):
    return F.cross_entropy(F.linear(x, table).flatten(0, 1).float(), targets.flatten())


class GPT2(nn.Module):
    def __init__(self, layers, heads, width, positions, vocabulary, epsilon=1e-5):
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary, width)
        self.embed_positions = nn.Embedding(positions, width)
        self.blocks = nn.ModuleList(Block(heads, width, epsilon) for _ in range(layers))
        self.norm = nn.LayerNorm(width, epsilon)
        self.loss = cross_entropy
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens, targets):
        x = self.embed_tokens(tokens) + self.embed_positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.loss(self.norm(x), self.embed_tokens.weight, targets)


class Trainer:
    """One model, its masters and AdamW. `step` queues a whole step and returns the loss, a tensor."""

    def __init__(self, model, dtype, options):
        self.masters = [nn.Parameter(p.detach().float().clone()) for p in model.parameters()]
        self.model = model.to(dtype)
        self.parameters = list(model.parameters())
        self.computing = self.model
        decay = options["weight_decay"]
        groups = [
            {"params": [p for p in self.masters if p.ndim >= 2], "weight_decay": decay},
            {"params": [p for p in self.masters if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.clip = options["clip_grad_norm"]
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=options["learning_rate"],
            betas=(options["beta1"], options["beta2"]),
            eps=options["epsilon"],
            fused=True,
        )
        for master in self.masters:
            master.grad = torch.zeros_like(master)

    def step(self, tokens, targets):
        loss = self.computing(tokens, targets)
        loss.backward()
        with torch.no_grad():
            torch._foreach_copy_([m.grad for m in self.masters], [p.grad for p in self.parameters])
            for parameter in self.parameters:
                parameter.grad = None
            torch.nn.utils.clip_grad_norm_(self.masters, self.clip, foreach=True)
            self.optimizer.step()
            torch._foreach_copy_(self.parameters, self.masters)
        return loss.detach()


def attention(choice):
    if choice == "default":
        return contextlib.nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.CUDNN_ATTENTION)


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def flops_per_token(layers, width, length):
    """6 N + 6 L C T, N without the position table and without padding, as model/config.h has it."""
    N = VOCABULARY * width + layers * (12 * width * width + 13 * width) + 2 * width
    return 6 * N + 6 * layers * width * length


def run_time(args):
    layers, heads, width = MODELS[args.model]
    T = args.sequence_length
    torch.manual_seed(1)
    with torch.device(args.device):
        model = GPT2(layers, heads, width, max(T, 1024), (VOCABULARY + 63) // 64 * 64)
        tokens, targets = (torch.randint(VOCABULARY, (args.batch, T)) for _ in range(2))
    options = {"learning_rate": 1e-4, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": 0.1, "clip_grad_norm": 1}
    trainer = Trainer(model, torch.bfloat16, options)
    if args.mode == "compile" and args.compile_blocks:
        for block in model.blocks:
            block.compile()
        model.loss = torch.compile(cross_entropy)
    elif args.mode == "compile":
        trainer.computing = torch.compile(model)
    seconds = []
    with attention(args.attention):
        for step in range(args.warmup + args.steps):
            synchronize(args.device)
            begin = time.perf_counter()
            loss = trainer.step(tokens, targets)
            synchronize(args.device)
            if step >= args.warmup:
                seconds.append(time.perf_counter() - begin)
    median = statistics.median(seconds)
    rate = args.batch * T / median
    flops = flops_per_token(layers, width, T)
    result = {
        "model": args.model,
        "batch": args.batch,
        "sequence_length": T,
        "program": f"PyTorch {torch.__version__}, {args.mode}, attention {args.attention}",
        "loss": loss.item(),
        "step_seconds": median,
        "step_seconds_low": min(seconds),
        "step_seconds_high": max(seconds),
        "tokens_per_second": rate,
        "flops_per_token": flops,
        "mfu": {"data sheet of H100 and H200, bf16": rate * flops / HOPPER_SHEET_FLOPS},
    }
    text = json.dumps(result)
    print(text)
    if args.json:
        pathlib.Path(args.json).write_text(text + "\n")
    return 0


def read_weights(directory):
    weights = {}
    values = torch.from_file(str(directory / "weights.f32"), size=(directory / "weights.f32").stat().st_size // 4)
    offset = 0
    for line in (directory / "weights.txt").read_text().splitlines():
        name, *sizes = line.split()
        shape = [int(size) for size in sizes]
        count = torch.Size(shape).numel()
        weights[name] = values[offset : offset + count].reshape(shape)
        offset += count
    return weights


def load(model, weights):
    """Trireme's names; it keeps q, k and v apart and its blocks in parts."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            name = name.replace("blocks.", "layers.")
            if ".qkv_proj." in name:
                parts = [weights[name.replace(".qkv_proj.", f".self_attn.{x}_proj.")] for x in "qkv"]
                parameter.copy_(torch.cat(parts))
                continue
            for part, inside in ((".o_proj.", ".self_attn"), (".up_proj.", ".mlp"), (".down_proj.", ".mlp")):
                name = name.replace(part, inside + part)
            parameter.copy_(weights[name])


def pytorch_losses(directory, start, dtype, device):
    model = GPT2(start["layers"], start["heads"], start["width"], start["positions"], start["vocabulary_size"], start["norm_epsilon"])
    load(model, read_weights(directory))
    shape = (2, start["batch"], start["sequence_length"])
    batch = torch.from_file(str(directory / "batch.i32"), size=torch.Size(shape).numel(), dtype=torch.int32)
    tokens, targets = batch.reshape(shape).long().to(device)
    trainer = Trainer(model.to(device), dtype, start)
    return [trainer.step(tokens, targets).item() for _ in start["losses"]]


def run_losses(args):
    directory = pathlib.Path(args.start)
    start = json.loads((directory / "start.json").read_text())
    exact = pytorch_losses(directory, start, torch.float32, args.device)
    ours = start["losses"]
    rounded = pytorch_losses(directory, start, torch.bfloat16, args.device)
    distance = max(abs(a - b) for a, b in zip(ours, exact))
    noise = max(abs(a - b) for a, b in zip(rounded, exact))
    # fp32: sums in another order. bf16: twice how far PyTorch's own bf16 run is from fp32, and never less than a thousandth
    # of the loss, since that distance is a random number itself.
    bound = 1e-5 * exact[0] if start["precision"] == "fp32" else max(2 * noise, 1e-3 * exact[0])
    print("| step | PyTorch fp32 | PyTorch bf16 | Trireme " + start["precision"] + " |\n|---|---|---|---|")
    for step, row in enumerate(zip(exact, rounded, ours)):
        print(f"| {step + 1} | " + " | ".join(f"{loss:.5f}" for loss in row) + " |")
    if args.json:
        figures = {"pytorch_fp32": exact, "pytorch_bf16": rounded, "trireme": ours, "distance": distance, "noise": noise, "allowed": bound}
        pathlib.Path(args.json).write_text(json.dumps(figures) + "\n")
    print(f"\nlargest distance from PyTorch's fp32: {distance:.2g}, PyTorch's own bf16 {noise:.2g}, allowed {bound:.2g}")
    if not distance <= bound:
        print("FAILED: the losses are not PyTorch's")
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["time", "losses"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--model", choices=MODELS, default="gpt2-124m")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sequence-length", type=int, default=1024)
    parser.add_argument("--mode", choices=["eager", "compile"], default="eager")
    parser.add_argument("--compile-blocks", action="store_true")
    parser.add_argument("--attention", choices=["default", "cudnn"], default="default")
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--json")
    parser.add_argument("--start", help="of losses: the directory of step_bench --export")
    args = parser.parse_args()
    if args.what == "losses" and not args.start:
        parser.error("losses needs --start")
    return run_time(args) if args.what == "time" else run_losses(args)


if __name__ == "__main__":
    sys.exit(main())

"""make_fixtures.py --seed N --output DIR: what PyTorch computes, for tests/model/pytorch_test.cpp.

transformers' GPT2LMHeadModel and LlamaForCausalLM, of odd sizes and with every parameter random, train for 20 steps; one
HDF5 file a family holds the weights they start from, the batches, and the logits, losses and gradients that came out.
Names and layouts are Trireme's, tests/README.md lists the datasets. All is computed in float64, but for the places where
transformers itself asks for fp32 (Llama's norms, its angles and its softmax); the same run in fp32 shows what rounding
does to the losses.
"""

import argparse
import copy
import os
import pathlib

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["HF_HUB_OFFLINE"] = "1"

import h5py
import numpy
import torch
import transformers

STEPS, BATCHES, SEQUENCES, TOKENS = 20, 3, 4, 9
NO_TARGET = -100  # as PyTorch's cross_entropy has it

# Every size is odd or at least no multiple of a vector; Llama's heads times their width is not the width of the model.
CONFIGS = {
    "gpt2": {
        "model_type": "gpt2",
        "n_layer": 2,
        "n_head": 3,
        "n_embd": 21,
        "n_inner": 50,
        "n_positions": 12,
        "vocab_size": 37,
        "layer_norm_epsilon": 1e-3,
        "activation_function": "gelu_new",
        "tie_word_embeddings": True,
    },
    "llama": {
        "model_type": "llama",
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "hidden_size": 28,
        "intermediate_size": 37,
        "max_position_embeddings": 12,
        "vocab_size": 41,
        "rms_norm_eps": 2e-3,
        "rope_theta": 1234.5,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
    },
}


def build(config):
    options = {"attn_implementation": "eager", "bos_token_id": None, "eos_token_id": None}
    if config["model_type"] == "gpt2":
        dropout = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**config, **options, **dropout))
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**config, **options))


def randomize(model, random):
    """Every parameter N(0, 0.2), weights of norms around 1: nothing keeps a value that could hide a mistake."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_norm = parameter.ndim == 1 and name.endswith("weight")
            values = random.normal(1.0 if is_norm else 0.0, 0.2, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values.astype(numpy.float32)))


GPT2_NAMES = [
    ("transformer.wte.", "embed_tokens."),
    ("transformer.wpe.", "embed_positions."),
    ("transformer.h.", "layers."),
    ("transformer.ln_f.", "norm."),
    (".ln_1.", ".input_layernorm."),
    (".ln_2.", ".post_attention_layernorm."),
    (".attn.c_proj.", ".self_attn.o_proj."),
    (".mlp.c_fc.", ".mlp.up_proj."),
    (".mlp.c_proj.", ".mlp.down_proj."),
]


def trireme_tensors(model, value_of):
    """(name, array) of each parameter; GPT-2's Conv1D keeps (in, out) and q, k, v in one matrix."""
    for name, parameter in model.named_parameters():
        value = value_of(parameter).detach().to(torch.float32).numpy()
        if isinstance(model, transformers.LlamaForCausalLM):
            yield name.removeprefix("model."), value
            continue
        if ".c_" in name:
            value = value.T
        for theirs, ours in GPT2_NAMES:
            name = name.replace(theirs, ours)
        if ".attn.c_attn." not in name:
            yield name, value
            continue
        for letter, part in zip("qkv", numpy.split(value, 3)):
            yield name.replace(".attn.c_attn.", f".self_attn.{letter}_proj."), part


def forward(model, tokens, targets):
    logits = model(input_ids=tokens).logits
    rows = logits.flatten(0, 1)
    rows = rows.float() if rows.dtype == torch.bfloat16 else rows
    loss = torch.nn.functional.cross_entropy(rows, targets.flatten(), ignore_index=NO_TARGET)
    return logits, loss


def train(model, tokens, targets, learning_rates, rounded=None):
    """Losses and gradient norms before clipping of AdamW's steps; matrices decay, norms and biases do not. With a
    `rounded` model that one computes, on the rounded weights of `model`, the masters."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    losses, norms = [], []
    for step, learning_rate in enumerate(learning_rates):
        for group in optimizer.param_groups:
            group["lr"] = float(learning_rate)
        computing = rounded or model
        computing.load_state_dict(model.state_dict())
        computing.zero_grad()
        _, loss = forward(computing, tokens[step % BATCHES], targets[step % BATCHES])
        loss.backward()
        for parameter, computed in zip(parameters, computing.parameters()):
            parameter.grad = computed.grad.to(parameter.dtype)
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, 2.2).item())
        optimizer.step()
        losses.append(loss.item())
    return numpy.array(losses), numpy.array(norms)


def write_fixture(path, config, seed):
    random = numpy.random.default_rng(seed)
    model = build(config)
    randomize(model, random)
    exact = build(config).double()
    exact.load_state_dict(model.state_dict())
    shape = (BATCHES, SEQUENCES, TOKENS)
    tokens = random.integers(0, config["vocab_size"], shape, dtype=numpy.int32)
    targets = random.integers(0, config["vocab_size"], shape, dtype=numpy.int32)
    targets[random.random(shape) < 0.2] = NO_TARGET
    learning_rates = 3e-3 * numpy.minimum(1, numpy.arange(1, STEPS + 1) / 5)
    # What PyTorch gets: indices are int64 there.
    batches = [torch.from_numpy(array).long() for array in (tokens, targets)]

    with h5py.File(path, "w") as file:
        file.attrs["config"] = numpy.bytes_(model.config.to_json_string(use_diff=False))
        made_with = f"torch {torch.__version__}, transformers {transformers.__version__}, seed {seed}"
        file.attrs["made_with"] = numpy.bytes_(made_with)
        file.attrs["parameters"] = numpy.array([sum(p.numel() for p in model.parameters())])
        file["tokens"], file["targets"], file["learning_rates"] = tokens, targets, learning_rates
        for name, value in trireme_tensors(model, lambda parameter: parameter):
            file[f"weights/{name}"] = value
        logits, loss = forward(exact, batches[0][0], batches[1][0])
        loss.backward()
        file["logits"] = logits.detach().flatten(0, 1).to(torch.float32).numpy()
        for name, value in trireme_tensors(exact, lambda parameter: parameter.grad):
            file[f"gradients/{name}"] = value
        losses, norms = train(exact, *batches, learning_rates)
        file["losses"], file["gradient_norms"] = losses, norms
        masters = copy.deepcopy(model)
        bf16_losses, _ = train(masters, *batches, learning_rates, bf16_twin(model))
        file["losses_bf16"] = bf16_losses
    fp32_losses, _ = train(model, *batches, learning_rates)
    print(f"{path}: {made_with}; loss {losses[0]:.6f} to {losses[-1]:.6f}, gradient norm {norms.min():.2f} to "
          f"{norms.max():.2f}; PyTorch's losses in fp32 and bf16 differ by up to "
          f"{numpy.abs(losses - fp32_losses).max():.1e} and {numpy.abs(losses - bf16_losses).max():.1e}")


def bf16_twin(model):
    """Its weights in bf16. The buffers (rope's frequencies) stay as they are: bfloat16() would round those too."""
    twin = copy.deepcopy(model).bfloat16()
    buffers = dict(twin.named_buffers())
    for name, value in model.named_buffers():
        buffers[name].data = value.data.clone()
    return twin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for family, config in CONFIGS.items():
        write_fixture(arguments.output / f"{family}-odd.h5", config, arguments.seed)


main()

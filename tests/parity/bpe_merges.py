"""What Hugging Face's BpeTrainer learns, for tests/data/bpe_trainer_test.cpp and beside our trainer.

bpe_merges.py --write FILE            digests of its merges, for the tests that run without Python (tests/data/golden)
bpe_merges.py --compare PROGRAM       its merges against those of tests/data/trained_merges_program.cpp
bpe_merges.py --time TEXT SIZE        its seconds for a vocabulary of SIZE (bench/data/bpe_trainer_bench.cpp)

Byte level, the whole text as one, special token <|endoftext|>, minimum frequency 2. Texts are in TRIREME_TEST_DATA.
Merges are written as lines of two hexadecimal ids.
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

import tokenizers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

TEXTS = ["tinyshakespeare.txt", "wikitext2-valid.txt"]
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
PRE_TOKENIZERS = {
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "cl100k": pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CL100K), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]),
}


def train(text, pattern, vocabulary_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = PRE_TOKENIZERS[pattern]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def merges_text(tokenizer):
    model = json.loads(tokenizer.to_str())["model"]
    return "".join(f"{model['vocab'][left]:x} {model['vocab'][right]:x}\n" for left, right in model["merges"])


def test_text(name):
    path = pathlib.Path(os.environ.get("TRIREME_TEST_DATA", "../shared/data")) / name
    if not path.exists():
        print(f"SKIPPED: {path} is missing", file=sys.stderr)
        sys.exit(77)
    return path, path.read_bytes()


def write(fixture):
    lines = [f"# Made by tests/parity/bpe_merges.py --write with tokenizers {tokenizers.__version__}:",
             "# text, its SHA-256, pattern, vocabulary size, SHA-256 of the merges as lines of two hexadecimal ids"]
    for name in TEXTS:
        _, text = test_text(name)
        for pattern in PRE_TOKENIZERS:
            merges = merges_text(train(text.decode(), pattern, 2000))
            digests = [hashlib.sha256(data).hexdigest() for data in (text, merges.encode())]
            lines.append(f"{name} {digests[0]} {pattern} 2000 {digests[1]}")
    fixture.write_text("\n".join(lines) + "\n")


def compare(program):
    for name in TEXTS:
        path, text = test_text(name)
        for pattern in PRE_TOKENIZERS:
            for size in (1000, 8000):
                theirs = merges_text(train(text.decode(), pattern, size)).splitlines()
                command = [program, pattern, str(size), str(path)]
                ours = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
                same = next((i for i, pair in enumerate(zip(theirs, ours)) if pair[0] != pair[1]), None)
                if theirs != ours or len(ours) < 700:
                    sys.exit(f"{name} {pattern} {size}: {len(theirs)} merges of Hugging Face and {len(ours)} of ours "
                             f"differ, first at {same}")
                print(f"{name} {pattern} {size}: {len(ours)} merges, the same as tokenizers {tokenizers.__version__}")


def measure(path, vocabulary_size):
    text = path.read_text()
    began, cpu = time.time(), time.process_time()
    tokenizer = train(text, "gpt2", vocabulary_size)
    print(f"tokenizers {tokenizers.__version__}, {path}: {tokenizer.get_vocab_size()} tokens in "
          f"{time.time() - began:.1f} s, {time.process_time() - cpu:.1f} s of CPU, SHA-256 of the merges "
          f"{hashlib.sha256(merges_text(tokenizer).encode()).hexdigest()}")


def main():
    parser = argparse.ArgumentParser()
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", type=pathlib.Path)
    group.add_argument("--compare")
    group.add_argument("--time", nargs=2)
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write)
    elif arguments.compare:
        compare(arguments.compare)
    else:
        measure(pathlib.Path(arguments.time[0]), int(arguments.time[1]))


main()

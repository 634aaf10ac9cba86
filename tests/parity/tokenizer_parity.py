"""tokenizer_parity.py PROGRAM VOCABULARIES DATA --seed N: ids of PROGRAM (tests/data/encode_program.cpp) against those of
Hugging Face's tokenizers and of tiktoken, here and now: GPT-2 (DATA/gpt2-tokenizer), cl100k, o200k, Llama 3 and Qwen
(VOCABULARIES, see tokenizer_files.sh), each as merges and as ranks, on English, source code, a hostile Unicode text
and thousands of short ones. Exit 1 when an id differs."""
import argparse
import base64
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy
import tiktoken
import tokenizers
from tiktoken.load import data_gym_to_mergeable_bpe_ranks, load_tiktoken_bpe
from tiktoken_ext import openai_public
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers.convert_slow_tokenizer import TikTokenConverter

from tokenizer_texts import HARD, short_texts, unicode_text

ROOT = pathlib.Path(__file__).resolve().parents[2]
END = "<|endoftext|>"
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")  # as Llama 3 has it
QWEN = CL100K.replace("{1,3}", "")


def pattern_of(make_encoding):
    """An encoding of openai_public without what it would download."""
    kept = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: {}
    try:
        return make_encoding()["pat_str"]
    finally:
        openai_public.load_tiktoken_bpe = kept


def make_texts(data, seed):
    texts = [(data / name).read_text(encoding="utf-8") for name in ("wikitext2-valid.txt", "tinyshakespeare.txt")]
    texts.append("".join(path.read_text() for path in sorted((ROOT / "data").glob("*.cpp"))))
    texts.append(unicode_text(seed))
    return texts + HARD + short_texts(seed, 20000)


def hugging_face(model, pattern, end_id):
    tokenizer = Tokenizer(model)
    if pattern is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, normalized=False)])
    tokenizer.encode_special_tokens = True  # as text
    assert tokenizer.token_to_id(END) == end_id, (tokenizer.token_to_id(END), end_id)
    return tokenizer


class Comparison:
    def __init__(self, program, texts, work):
        self.program, self.texts, self.work, self.differences = program, texts, work, 0

    def ids_of_program(self, path, texts, special):
        packed, output = self.work / "texts", self.work / "ids"
        encoded = [text.encode() for text in texts]
        packed.write_bytes(b"".join(struct.pack("<q", len(text)) + text for text in encoded))
        subprocess.run([self.program, path, packed, output, special], check=True)
        data, at, ids = output.read_bytes(), 0, []
        while at < len(data):
            count, = struct.unpack_from("<q", data, at)
            ids.append(numpy.frombuffer(data, "<i4", count, at + 8))
            at += 8 + 4 * count
        return ids

    def compare(self, name, path, references, texts=None, special="as_text"):
        """`references`: name -> ids of a text. `special`: what the program takes special tokens for."""
        texts = texts or self.texts
        ours = self.ids_of_program(path, texts, special)
        assert len(ours) == len(texts)
        for reference, encode in references.items():
            different = 0
            for text, ids in zip(texts, ours):
                expected = numpy.array(encode(text), "<i4")
                if numpy.array_equal(ids, expected):
                    continue
                different += 1
                if different <= 3:
                    common = min(len(ids), len(expected))
                    unequal = numpy.flatnonzero(ids[:common] != expected[:common])
                    first = int(unequal[0]) if len(unequal) else common
                    print(f"  {text[:40]!r}... of {len(text)} characters, from token {first}: "
                          f"{ids[first:first + 8].tolist()}, expected {expected[first:first + 8].tolist()}")
            tokens = sum(len(ids) for ids in ours)
            print(f"{name} against {reference}: " +
                  (f"{different} of {len(ours)} texts differ" if different else f"{tokens} ids of {len(ours)} texts agree"),
                  flush=True)
            self.differences += different


def compare_gpt2(comparison, directory):
    model = models.BPE.from_file(str(directory / "vocab.json"), str(directory / "merges.txt"))
    tokenizer = hugging_face(model, None, 50256)
    ranks = data_gym_to_mergeable_bpe_ranks(str(directory / "merges.txt"), str(directory / "vocab.json"))
    encoding = tiktoken.Encoding("gpt2", pat_str=openai_public.r50k_pat_str, mergeable_ranks=ranks,
                                 special_tokens={END: 50256}, explicit_n_vocab=50257)
    file = comparison.work / "r50k_base.tiktoken"
    file.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()))
    comparison.compare("gpt2 (merges)", directory, {"tokenizers": lambda text: tokenizer.encode(text).ids,
                                                    "tiktoken": encoding.encode_ordinary})
    comparison.compare("gpt2 (ranks)", file, {"tiktoken": encoding.encode_ordinary})
    tokenizer.encode_special_tokens = False
    with_ends = [text.replace(" ", END, 2) for text in comparison.texts if len(text) < 1000]
    references = {"tokenizers": lambda text: tokenizer.encode(text).ids,
                  "tiktoken": lambda text: encoding.encode(text, allowed_special="all")}
    comparison.compare("gpt2 with special tokens", directory, references, with_ends, "known")


def compare_ranks(comparison, file, name, patterns, end_id):
    """`patterns`: as tiktoken and as Hugging Face have it. Merges of tokens as transformers makes them from ranks."""
    ranks = load_tiktoken_bpe(str(file))
    encoding = tiktoken.Encoding(name, pat_str=patterns[0], mergeable_ranks=ranks, special_tokens={})
    vocab, merges = TikTokenConverter(str(file)).extract_vocab_merges_from_model(str(file))
    while len(vocab) < end_id:
        vocab[f"<|unused{len(vocab)}|>"] = len(vocab)
    tokenizer = hugging_face(models.BPE(vocab, merges, ignore_merges=True), patterns[1], end_id)
    as_merges = comparison.work / f"{name}.json"
    tokenizer.save(str(as_merges), pretty=False)
    comparison.compare(f"{name} (merges)", as_merges, {"tokenizers": lambda text: tokenizer.encode(text).ids})
    as_ranks = file
    if name == "qwen":  # a rank file that has no name of its own
        content = json.loads(as_merges.read_text())
        content["model"]["trireme_mode"] = "ranks"
        as_ranks = comparison.work / "ranks.json"
        as_ranks.write_text(json.dumps(content))
    comparison.compare(f"{name} (ranks)", as_ranks, {"tiktoken": encoding.encode_ordinary})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("vocabularies", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    print(f"tokenizers {tokenizers.__version__}, tiktoken {tiktoken.__version__}, seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as work:
        comparison = Comparison(arguments.program, make_texts(arguments.data, arguments.seed), pathlib.Path(work))
        compare_gpt2(comparison, arguments.data / "gpt2-tokenizer")
        files = arguments.vocabularies
        o200k = pattern_of(openai_public.o200k_base)
        compare_ranks(comparison, files / "cl100k_base.tiktoken", "cl100k",
                      (pattern_of(openai_public.cl100k_base), CL100K), 100257)
        compare_ranks(comparison, files / "o200k_base.tiktoken", "o200k", (o200k, o200k), 199999)
        compare_ranks(comparison, files / "llama3.tiktoken", "llama3", (CL100K, CL100K), 128000)
        compare_ranks(comparison, files / "qwen.tiktoken", "qwen", (QWEN, QWEN), 151643)
    sys.exit(1 if comparison.differences else 0)


if __name__ == "__main__":
    main()

"""make_tokenizer_golden.py DATA: writes tests/data/golden/*.json, the ids that Hugging Face's tokenizers and tiktoken give
to hard strings and to the texts of DATA (TRIREME_TEST_DATA). Run it with the Python that tests/venv.sh names; only when
the strings or the libraries' versions change. GPT-2's vocabulary is read from DATA and not stored; small_cl100k and
small_o200k are tokenizers of 1,000 tokens, learned here with the patterns of their names and stored as tokenizer.json."""
import hashlib
import json
import pathlib
import sys

import numpy
import tiktoken
import tokenizers
from tiktoken.load import data_gym_to_mergeable_bpe_ranks
from tiktoken_ext import openai_public
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "parity"))
from tokenizer_parity import CL100K, END, hugging_face, pattern_of  # noqa: E402
from tokenizer_texts import HARD, KINDS  # noqa: E402

GOLDEN = pathlib.Path(__file__).parent / "golden"
TEXTS = ("wikitext2-valid.txt", "tinyshakespeare.txt")
MADE_WITH = {"tokenizers": tokenizers.__version__, "tiktoken": tiktoken.__version__}


def summary(ids):
    return {"tokens": len(ids), "sha256": hashlib.sha256(numpy.array(ids, "<i4").tobytes()).hexdigest()}


def write(name, data, encoders):
    """`encoders`: mode -> ids of a text."""
    content = {"made_with": MADE_WITH, "strings": [], "texts": {}}
    for text in HARD:
        content["strings"].append({"text": text} | {mode: encode(text) for mode, encode in encoders.items()})
    for file in TEXTS:
        text = (data / file).read_text(encoding="utf-8")
        content["texts"][file] = {mode: summary(encode(text)) for mode, encode in encoders.items()}
    lines = ",\n".join(json.dumps(item) for item in content["strings"])
    (GOLDEN / f"{name}_ids.json").write_text(
        f'{{"made_with": {json.dumps(MADE_WITH)},\n"texts": {json.dumps(content["texts"])},\n"strings": [\n{lines}\n]}}\n')


def make_gpt2(data):
    directory = data / "gpt2-tokenizer"
    files = str(directory / "vocab.json"), str(directory / "merges.txt")
    tokenizer = hugging_face(models.BPE.from_file(*files), None, 50256)
    ranks = data_gym_to_mergeable_bpe_ranks(files[1], files[0])
    encoding = tiktoken.Encoding("gpt2", pat_str=openai_public.r50k_pat_str, mergeable_ranks=ranks,
                                 special_tokens={END: 50256})
    write("gpt2", data, {"merges": lambda text: tokenizer.encode(text).ids, "ranks": encoding.encode_ordinary})


def make_small(name, pattern, tiktoken_pattern, data):
    tokenizer = hugging_face(models.BPE(), pattern, 0)
    trainer = trainers.BpeTrainer(vocab_size=1000, special_tokens=[END], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    lines = (data / "tinyshakespeare.txt").read_text(encoding="utf-8")[:200000].splitlines(keepends=True)
    tokenizer.train_from_iterator(lines + (HARD + KINDS) * 40, trainer)
    tokenizer.save(str(GOLDEN / f"{name}.json"), pretty=False)
    byte_of = {letter: byte for byte, letter in openai_byte_letters().items()}
    ranks = {bytes(byte_of[letter] for letter in token): id for token, id in tokenizer.get_vocab().items() if token != END}
    encoding = tiktoken.Encoding(name, pat_str=tiktoken_pattern, mergeable_ranks=ranks, special_tokens={END: 0})
    write(name, data, {"merges": lambda text: tokenizer.encode(text).ids, "ranks": encoding.encode_ordinary})


def openai_byte_letters():
    """byte -> printable letter, as GPT-2's encoder.py has it."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1),
             *range(ord("\u00ae"), ord("\u00ff") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def main():
    data = pathlib.Path(sys.argv[1])
    GOLDEN.mkdir(exist_ok=True)
    make_gpt2(data)
    make_small("small_cl100k", CL100K, pattern_of(openai_public.cl100k_base), data)
    o200k = pattern_of(openai_public.o200k_base)
    make_small("small_o200k", o200k, o200k, data)


if __name__ == "__main__":
    main()

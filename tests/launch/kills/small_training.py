"""A training that takes about a second on two ranks, for tests that disturb it: half of the time a save is going on."""

import json
import os
import random

from run_files import checked

MODEL = {"model_type": "gpt2", "n_layer": 4, "n_head": 4, "n_embd": 64, "n_positions": 64, "vocab_size": 257}
EVERY = 4  # steps between checkpoints, of which the last two are kept
WORDS = "the ship rows with three banks of oars over a wine dark sea".split()
TRAIN = "--global-batch-size 32 --learning-rate 3e-3 --dropout 0.1 --log-every 1 --validate-every 0".split()


class SmallTraining:
    """In a directory of its own: text, model, data."""

    def __init__(self, program, directory, words=4000, prepare=()):
        self.program = program
        self.directory = directory
        text, model = self.path("corpus.txt"), self.path("model.json")
        with open(text, "w") as file:
            file.write(" ".join(random.Random(42).choices(WORDS, k=words)))
        with open(model, "w") as file:
            json.dump(MODEL, file)
        checked([program, "prepare", "--input", text, "--output", self.path("data"), "--tokenizer", "byte", *prepare])

    def path(self, name):
        return os.path.join(self.directory, name)

    def words(self, run, steps, layout):
        """The command of a run."""
        files = ["--data", self.path("data"), "--model", self.path("model.json"), "--run", run.path]
        saves = ["--steps", str(steps), "--checkpoint-every", str(EVERY), "--keep-last", "2"]
        return [self.program, "train", *files, *TRAIN, *saves, *layout]

"""read_checkpoints.py DIR: holds shards and merged files (tests/checkpoint/sample_program.cpp) to the bytes that were
saved, through h5py and safetensors: bit for bit, and bf16 as the values that it stands for."""

import json
import pathlib
import sys

import h5py
import numpy as np
import torch
from safetensors import safe_open

directory = pathlib.Path(sys.argv[1])
step = directory / "step-000000001"
manifest = json.loads((step / "manifest.json").read_text())


def saved_bits(tensor):
    """Of a tensor of the manifest, as unsigned integers of its element's size."""
    size = {"fp32": 4, "bf16": 2}[tensor["dtype"]]
    data = (directory / "elements" / tensor["kind"] / tensor["name"]).read_bytes()
    return np.frombuffer(data, f"<u{size}").reshape(tensor["global_shape"])


def stored_bits(dataset, bits):
    """The dataset's elements in their own type: HDF5 converts nothing."""
    out = np.empty_like(bits)
    dataset.id.read(h5py.h5s.ALL, h5py.h5s.ALL, out, mtype=dataset.id.get_type())
    return out


def check_dataset(dataset, bits, title):
    assert dataset.shape == bits.shape, title
    assert np.array_equal(stored_bits(dataset, bits), bits), f"{title}: other bits"
    wide = bits if bits.itemsize == 4 else bits.astype("<u4") << 16
    values = np.ascontiguousarray(wide).view("<f4")
    assert dataset[...].dtype == np.float32, f"{title} is read as {dataset[...].dtype}"
    assert np.array_equal(dataset[...], values, equal_nan=True), f"{title}: other values"


tensors = {(tensor["kind"], tensor["name"]): tensor for tensor in manifest["tensors"]}
for stored in manifest["slices"]:
    box = tuple(slice(start, start + size) for start, size in zip(stored["box_start"], stored["box_size"]))
    with h5py.File(step / stored["file"], "r") as file:
        dataset = file[stored["dataset"]]
        check_dataset(dataset, np.ascontiguousarray(saved_bits(tensors[stored["kind"], stored["tensor"]])[box]),
                      f"{stored['file']} {stored['dataset']}")
        assert list(dataset.attrs["box_start"]) == stored["box_start"]
        assert dataset.attrs["crc32c"] in (stored["crc32c"], stored["crc32c"].encode())

with h5py.File(directory / "merged.h5", "r") as file:
    for (kind, name), tensor in tensors.items():
        check_dataset(file[f"/{kind}/{name}"], saved_bits(tensor), f"merged.h5 /{kind}/{name}")
        assert file[f"/{kind}/{name}"].chunks is None
    assert file.attrs["step"][0] == 1

with safe_open(directory / "merged.safetensors", framework="pt") as file:
    assert file.metadata()["step"] == "1"
    assert len(file.keys()) == len(tensors)
    for (kind, name), tensor in tensors.items():
        found = file.get_tensor(name if kind == "parameter" else f"{kind}/{name}")
        assert found.dtype == {"fp32": torch.float32, "bf16": torch.bfloat16}[tensor["dtype"]], name
        bits = saved_bits(tensor)
        assert tuple(found.shape) == bits.shape, name
        as_integers = found.view({4: torch.int32, 2: torch.int16}[bits.itemsize]).numpy().view(bits.dtype)
        assert np.array_equal(as_integers, bits), f"merged.safetensors {name}: other bits"

print(f"{len(manifest['slices'])} slices and {len(tensors)} tensors are as they were saved")

"""A small network, a header for it, and files of any content."""

import json
from types import SimpleNamespace

import torch
from safetensors.torch import save as serialise

from proxies import TCN, Header, control_table

CONTROLS = (
    SimpleNamespace(name="threshold_db", unit="dB", low=-60, high=0, scale="linear", default=-20.0),
    SimpleNamespace(name="attack_ms", unit="ms", low=0.1, high=100.0, scale="log", default=1.0),
)
COMMAND = "python -m proxies.train dasp:Compressor --config compressor.yaml"


def network(**settings) -> TCN:
    torch.manual_seed(0)
    return TCN(2, **{"blocks": 2, "growth": 4, "channels": 4, **settings}).eval()


def header_of(net, **fields) -> Header:
    known = {
        "effect": "dasp:Compressor", "controls": control_table(CONTROLS), "sample_rate": 44100.0, "channels": None,
        "network": net.description, "receptive_field": net.receptive_field, "level_db": (-60.0, 0.0),
        "scores": {"esr": 0.01, "cosine": {"attack_ms": [0.9, None]}}, "command": COMMAND, "seed": 3,
        "data": ({"name": "clicks", "licence": "CC0", "origin": "made here"},), "licence": "CC0-1.0",
    }  # fmt: skip
    return Header(**known | fields)


def written(path, table: dict, tensors: dict | None = None):
    """A file with any header, and the tensors of `network()` unless others are given."""
    tensors = network().state_dict() if tensors is None else tensors
    path.write_bytes(serialise(tensors, {"header": json.dumps(table)}))
    return path


TABLE = json.loads(header_of(network()).to_json())

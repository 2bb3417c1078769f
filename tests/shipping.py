"""Weights of chance in a folder, in the place of those that are shipped."""

from pathlib import Path

import torch

import dasp
import proxies
from proxies import Header, control_table


def ship(folder, effect, name=None, rate=44100, seed=0, **changes):
    """A small network with weights of chance as the shipped proxy of an effect."""
    torch.manual_seed(seed)
    network = proxies.build("tcn", num_controls=len(effect.controls), blocks=1, channels=4, kernel=3).eval()
    fields = {
        "effect": f"dasp:{effect.name}",
        "controls": control_table(effect.controls),
        "sample_rate": float(rate),
        "channels": None,
        "network": network.description,
        "receptive_field": network.receptive_field,
        "level_db": (-40.0, 0.0),
        "scores": {},
        "command": f"python -m proxies.train dasp:{effect.name}",
        "seed": seed,
        "data": (),
        "licence": "CC0-1.0",
    }
    path = folder / f"{name or effect.name}.safetensors"
    proxies.save(path, network, Header(**{**fields, **changes}))
    return path


def shipped(folder, monkeypatch, rate) -> Path:
    """The folder, with weights for Compressor, ParametricEQ and Reverb, for the time of a test."""
    for seed, cls in enumerate((dasp.Compressor, dasp.ParametricEQ, dasp.Reverb)):
        ship(folder, cls(), rate=rate, seed=seed)
    monkeypatch.setattr("proxies.checkpoint.WEIGHTS", folder)
    for module in ("dasp.effect", "dasp.trained"):
        monkeypatch.setattr(f"{module}.SHIPPED", frozenset(p.stem for p in folder.glob("*.safetensors")))
    monkeypatch.setattr("dasp.trained._networks", {})
    return folder

"""Models small enough for tests, and songs for them."""

import torch
from synthetic import RATE, stem

from mixing import Multitrack
from mixing.models import build

ENCODER = {"embedding": 8, "channels": [4, 8], "mels": 16, "n_fft": 512, "hop": 256, "patch": 4096, "hidden": 16}


def dmc(strip="gain-pan", rate=RATE, seed=0, **settings):
    torch.manual_seed(seed)
    return build("dmc", sample_rate=rate, strip=strip, **ENCODER | settings)


def stirred(model, seed=1):
    """The model with weights as large as after training, so that what it does depends on what it hears."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim > 1:
                p.add_(0.3 * torch.randn(p.shape, generator=generator) * p.std())
        for network in (model.controller.tracks, model.controller.song):
            if network is not None:
                network[-1].weight.mul_(30)
    return model


def song(count=3, seconds=1.0, rate=RATE, stereo=(1,)):
    """Tracks of different kinds and levels; those in `stereo` are stereo."""
    tracks = [(0.4 + 0.2 * k) * stem(k, seconds, rate, 2 if k in stereo else 1) for k in range(count)]
    return Multitrack.from_tracks(tracks, float(rate))


def permuted(multitrack, order):
    names = tuple(multitrack.names[0][i] for i in order)
    return Multitrack(multitrack.audio[:, order], multitrack.channels[:, order], multitrack.sample_rate, (names,))

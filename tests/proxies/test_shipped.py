"""The weights that come with the package: what they say of themselves, and that they do what they say."""

from pathlib import Path

import pytest
import torch

import proxies
from dasp.testing import music
from proxies.metrics import esr
from proxies.teacher import teacher

FILES = sorted((Path(proxies.__file__).parent / "weights").glob("*.safetensors"))
FREE = {"Apache-2.0", "CC0-1.0", "CC-BY-4.0"}


def test_there_are_some():
    assert {"Compressor", "Distortion"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_says_what_it_is(path):
    header = proxies.load(path.stem).header
    target = teacher(header.effect, header.sample_rate)
    header.check(target.controls)
    assert path.stat().st_size <= 1_000_000
    assert {header.licence, *(source["licence"] for source in header.data)} <= FREE
    assert header.scores["evaluation"]["cases"] >= 32
    assert path.stem in header.command


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_sounds_as_well_as_it_says(path):
    """On a signal and controls of another kind than the evaluation's; half of the cases are to be below its 90th percentile."""
    network = proxies.load(path.stem)
    target = teacher(network.header.effect, network.header.sample_rate)
    count = len(target.controls)
    controls = 0.1 + 0.8 * torch.quasirandom.SobolEngine(count, scramble=True, seed=3).draw(8)
    audio = music(seconds=0.5, channels=network.header.channels or 1).float().expand(8, -1, -1).contiguous()
    with torch.no_grad():
        output, wanted = network(audio, controls), target.blackbox(audio, controls)
    assert esr(output, wanted).median() <= 1.5 * network.header.scores["evaluation"]["esr_p90"]

"""White box = Pedalboard: a fast subset of `python -m dasp.parity`, and checks of the door and of the comparison itself."""

import json

import numpy as np
import pytest
import torch

from dasp import Compressor, Gain, parity
from dasp.effects.gain import gain

pytestmark = pytest.mark.usefixtures("pedalboard")
FOURIER = {"Convolution": 100.0}  # the plugin itself varies with its block length


@pytest.mark.parametrize("name", parity.certified())
def test_white_box_is_the_plugin(name):
    found = parity.compare(parity.certified()[name], draws=4, seed=1, rates=(44100, 48000))
    assert found.cases >= 4 * 2 * 4
    if name in FOURIER:
        assert found.worst_db is None or found.worst_db > FOURIER[name]
    else:
        assert found.differing == 0, f"{found.worst_db} dB"
        assert found.moving_differing in (0, None)
    assert found.blackbox_differing == 0


class Off(Gain):
    """Pedalboard's gain, one part in a thousand too loud."""

    controls = Gain.controls
    dsp = staticmethod(lambda x, *, sample_rate, gain_db: 1.001 * gain(x, gain_db=gain_db))


def test_a_white_box_that_is_not_the_plugin_is_seen():
    found = parity.compare(Off, draws=2, rates=(44100,))
    assert found.differing > 0.5 * found.samples * 0.5
    assert 55 < found.worst_db < 61  # 20 log10(1000)
    assert found.blackbox_differing == 0
    assert "| Off |" in parity.markdown([found])
    with pytest.raises(ValueError, match="Panner has no plugin"):
        parity.compare(parity.find("Panner"))


def test_the_command_prints_and_keeps_its_figures(tmp_path, capsys):
    assert parity.main(["Gain", "--draws", "1", "--json", str(tmp_path / "p.json")]) == 0
    assert "| Gain | 24 |" in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "p.json").read_text())["rows"]
    assert (row["effect"], row["differing"]) == ("Gain", 0)
    for arguments, word in ((["Gian"], "Did you mean"), (["Panner"], "has no plugin")):
        with pytest.raises(SystemExit) as end:
            parity.main(arguments)
        assert end.value.code == 2
        assert word in capsys.readouterr().err


def test_typed_values_equal_pedalboards_documented_call(pedalboard):
    x = parity.signal("noise", 44100, 2, 1, 1)
    by_hand = pedalboard.Compressor(threshold_db=-24.0, ratio=4.0, attack_ms=1.0, release_ms=100.0)(x[0].numpy(), 44100)
    ours = Compressor()(x, threshold_db=-24.0, ratio=4.0, attack_ms=1.0, release_ms=100.0)
    assert np.array_equal(ours[0].numpy(), by_hand)


def test_moving_controls_are_block_rendering_with_the_plugin(pedalboard):
    """Independent of our own block renderer: Pedalboard by hand, new values every 32 samples."""
    x = parity.signal("noise", 44100, 1, 1, 2)[..., :3200]
    u = torch.rand(1, 4, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    effect = Compressor()
    values = {k: v[0] for k, v in effect.physical(u).items()}
    plugin = pedalboard.Compressor(**{k: float(v[0]) for k, v in values.items()})
    blocks = []
    for k in range(100):
        for name, value in values.items():
            setattr(plugin, name, float(value[k]))
        blocks.append(plugin.process(x[0, 0, 32 * k : 32 * k + 32].numpy(), 44100, buffer_size=32, reset=False))
    assert np.array_equal(effect(x, u)[0, 0].numpy(), np.concatenate(blocks))

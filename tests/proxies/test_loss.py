"""The training loss: auraloss's values, the same weight for quiet clips, and numbers on silence."""

import auraloss
import pytest
import torch

from proxies.config import LossSettings
from proxies.loss import Loss

NONE = {"l1": 0.0, "mr_stft": 0.0}
NAMES = ("root_esr", "l1", "esr", "dc", "log_cosh", "stft", "mr_stft", "rr_stft")


def clips(batch=3, samples=6000, channels=1):
    target = 0.2 * torch.randn(batch, channels, samples)
    return (target + 0.05 * torch.randn_like(target)).requires_grad_(), target


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("l1", torch.nn.L1Loss()),
        ("esr", auraloss.time.ESRLoss()),
        ("dc", auraloss.time.DCLoss()),
        ("log_cosh", auraloss.time.LogCoshLoss()),
        ("stft", auraloss.freq.STFTLoss()),
        ("mr_stft", auraloss.freq.MultiResolutionSTFTLoss()),
    ],
)
def test_unscaled_terms_are_auralosss(name, reference):
    settings = LossSettings(**NONE | {name: 2.0}, scaled=False, w_sc=1, w_log_mag=1, w_lin_mag=0, fft_sizes=())
    output, target = clips()
    total, terms = Loss(settings, 6000)(output, target)
    torch.testing.assert_close(total, 2 * reference(output, target))
    torch.testing.assert_close(terms, {name: total.detach() / 2})


@pytest.mark.parametrize("name", NAMES)
def test_scaled_terms_do_not_know_the_level(name):
    torch.manual_seed(0)
    loss = Loss(LossSettings(**NONE | {name: 1.0}), 6000)
    output, target = clips()
    if name != "rr_stft":
        torch.testing.assert_close(loss(output, target)[0], loss(output * 0.01, target * 0.01)[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("name", [*NAMES, "difference"])
def test_silence_has_a_loss_and_a_gradient(name, scaled):
    loss = Loss(LossSettings(**NONE | {name: 1.0}, scaled=scaled, w_sc=1.0), 6000)
    output, target = clips(4)
    for o, t in (
        (output, 0 * target),
        (0 * output, target),
        (0 * output, 0 * target),
        (target.requires_grad_(), target.detach()),
    ):
        leaf = o.detach().requires_grad_()
        total, _ = loss(leaf, t)
        total.backward()
        assert total.isfinite()
        assert leaf.grad.isfinite().all()


@pytest.mark.parametrize("name", [n for n in NAMES if n != "rr_stft"])
def test_a_batch_is_the_mean_of_its_items(name):
    loss = Loss(LossSettings(**NONE | {name: 1.0}), 6000)
    output, target = clips(4, channels=2)
    parts = [loss(output[i : i + 1], target[i : i + 1])[0] for i in range(4)]
    torch.testing.assert_close(loss(output, target)[0], torch.stack(parts).mean())


def test_differences_are_those_of_pairs():
    loss = Loss(LossSettings(**NONE, difference=1.0), 100)
    target = 0.1 * torch.randn(4, 1, 100)
    offset = torch.randn(2, 1, 100).repeat_interleave(2, 0)
    assert loss(target + offset, target)[0] < 1e-5
    halved = target.clone()
    halved[1::2] = (target[::2] + target[1::2]) / 2
    assert loss(halved, target)[0] == pytest.approx(0.5, rel=0.01)


def test_skipped_samples_are_not_heard():
    loss = Loss(LossSettings(skip=1000), 6000)
    output, target = clips()
    worse = output.detach().clone()
    worse[..., :1000] = 9
    torch.testing.assert_close(loss(worse, target)[0], loss(output, target)[0].detach())


def test_wrong_settings():
    with pytest.raises(ValueError, match=r"none of root_esr, l1, .* has a weight"):
        Loss(LossSettings(**NONE), 6000)
    with pytest.raises(ValueError, match="window of 2048 samples; a clip of 1000"):
        Loss(LossSettings(), 1000)
    with pytest.raises(ValueError, match=r"network made \(1, 1, 6000\) and the teacher \(1, 2, 6000\)"):
        Loss(LossSettings(), 6000)(torch.zeros(1, 1, 6000), torch.zeros(1, 2, 6000))

"""Any plugin as an effect: Pedalboard's own always, third-party VST3s where `make plugins` has fetched them."""

import functools
import json
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

import dasp
from dasp.external import _class_of
from dasp.reading import _law
from dasp.testing import CHECKS, music
from gradients import SPSA, FiniteDifference

RATE = 44100
# The rest of the suite asks for a white box, or for a state.
APPLICABLE = ("table", "acts", "shapes", "dual_mono", "pure", "frames", "transforms", "compile", "copies", "messages")
OWN = {
    "Compressor": {},
    "Reverb": {},
    "PeakFilter": {},
    "LadderFilter": {"ranges": {"cutoff_hz": (50.0, 16000.0, "log"), "resonance": (0.0, 1.0), "drive": (1.0, 20.0)}},
}


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def gradient(effect, x, u, weight=None):
    u = u.clone().requires_grad_()
    y = effect(x, u)
    weight = torch.randn(y.shape, generator=torch.Generator().manual_seed(7)) if weight is None else weight
    return torch.autograd.grad((y * weight).double().sum(), u)[0]


@pytest.mark.parametrize(
    "check", [c for c in CHECKS if c.__name__.removeprefix("check_") in APPLICABLE], ids=lambda c: c.__name__
)
@pytest.mark.parametrize("name", OWN)
def test_pedalboards_own_conform(name, check):
    def make(rate=RATE, **more):
        return dasp.external(name, rate, **{"gradient": "fd", **OWN[name], **more})

    check(make)


def test_the_table_of_pedalboards_own_has_dasps_ranges_and_the_plugins_defaults(pedalboard):
    effect = dasp.external(pedalboard.Compressor)
    ours = {q.name: q for q in dasp.Compressor.controls}
    assert [q.name for q in effect.controls] == list(ours)
    for q in effect.controls:
        assert (q.unit, q.low, q.high, q.scale) == (ours[q.name].unit, ours[q.name].low, ours[q.name].high, ours[q.name].scale)
        assert q.default == getattr(pedalboard.Compressor(), q.name)
    assert "threshold_db" in type(effect).__doc__


def test_pedalboards_own_are_called_as_by_hand(pedalboard):
    x = music().float()
    for name, values in (("Compressor", {"threshold_db": -24.0, "ratio": 4.0}), ("Reverb", {"room_size": 0.8, "width": 0.3})):
        by_hand = getattr(pedalboard, name)(**values)(x[0].numpy(), RATE)
        assert np.array_equal(dasp.external(name)(x, **values)[0].numpy(), by_hand)
    ladder = dasp.external("LadderFilter", mode="HPF24", **OWN["LadderFilter"])
    by_hand = pedalboard.LadderFilter(mode=pedalboard.LadderFilter.HPF24, cutoff_hz=900.0, resonance=0.25, drive=2.0)
    heard = ladder(x, cutoff_hz=900.0, resonance=0.25, drive=2.0)
    assert np.abs(heard[0].numpy() - by_hand(x[0].numpy(), RATE)).max() < 1e-6  # the log scale rounds the cutoff


def test_gradients_of_pedalboards_own_are_those_of_dasps_effect():
    x, u = music().float(), torch.full((1, 4), 0.4, dtype=torch.float64)
    exact = gradient(dasp.Compressor(), x, u)
    assert torch.equal(gradient(dasp.external("Compressor", gradient="fd"), x, u), gradient(dasp.Compressor(gradient="fd"), x, u))
    assert cosine(gradient(dasp.external("Compressor", gradient="fd"), x, u), exact) > 0.999
    assert cosine(gradient(dasp.external("Compressor", gradient=SPSA(directions=256)), x, u), exact) > 0.95


def test_the_audios_gradient_is_the_adjoint_or_refused():
    x = music().float()
    values = {"room_size": 0.7, "damping": 0.2}
    gradients = []
    for effect in (dasp.Reverb(), dasp.external("Reverb", gradient=SPSA(audio="adjoint"))):
        v = x.clone().requires_grad_()
        y = effect(v, wet_level=0.33, dry_level=0.4, width=1.0, **values)
        gradients.append(torch.autograd.grad((y * y.detach().flip(-1)).sum(), v)[0])
    assert (gradients[0] - gradients[1]).abs().max() < 1e-4 * gradients[0].abs().max()
    v = x.clone().requires_grad_()
    with pytest.raises(ValueError, match=r"Reverb: the audio needs a gradient .* audio='adjoint'"):
        dasp.external("Reverb")(v)
    with pytest.raises(ValueError, match="Compressor: audio='adjoint' holds for linear time-invariant"):
        dasp.external("Compressor", gradient=SPSA(audio="adjoint"))(v, threshold_db=-40.0, ratio=8.0).sum().backward()


def test_what_a_plugin_cannot_do_is_refused():
    x = music().float()
    with pytest.raises(ValueError, match=r"Compressor: gradient='autodiff' needs a whitebox view.* blackbox only"):
        dasp.external("Compressor", gradient="autodiff")(x)
    with pytest.raises(ValueError, match="keeps its memory to itself"):
        dasp.external("Compressor").stream(x)
    with pytest.raises((ValueError, TypeError), match=r"Compressor: .*state="):
        dasp.Chain(dasp.Gain(), dasp.external("Compressor")).stream(x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dasp.external("no/such.vst3"), "no plugin's file 'no/such.vst3'"),
        (lambda: dasp.external("compresor"), "Did you mean 'Compressor'"),
        (lambda: dasp.external(torch.nn.Linear), "no class of that name"),
        (lambda: dasp.external("Chain"), "no class of that name"),
        (lambda: dasp.external("Convolution"), "without further arguments"),
        (lambda: dasp.external("Compressor", plugin_name="x"), "plugin_name= chooses within a file"),
        (lambda: dasp.external("BrickwallLimiter"), "publishes no ranges of ceiling_db.*give those"),
        (lambda: dasp.external("Compressor", ranges={"treshold_db": (0, 1)}), "Did you mean 'threshold_db'"),
        (lambda: dasp.external("Compressor", ranges={"ratio": (3, 2)}), "low < high"),
        (lambda: dasp.external("Compressor", ranges={"ratio": (0, 2, "log")}), "log scale needs low > 0"),
        (lambda: dasp.external("Compressor", controls=["ratio"], attack_ms=1e9), "attack_ms is from 0.05 to 200 ms; got"),
        (lambda: dasp.external("LadderFilter", mode="LPF13", **OWN["LadderFilter"]), "mode is one of .*Did you mean 'LPF12'"),
        (lambda: dasp.external("LadderFilter", mod="LPF12", **OWN["LadderFilter"]), "no option 'mod'.*Did you mean 'mode'"),
        (lambda: dasp.external_health("Compressor", settings=0), "at least 1"),
    ],
)
def test_a_mistake_is_a_sentence(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_ranges_and_controls_can_be_chosen(pedalboard):
    x = music().float()
    limiter = dasp.external("BrickwallLimiter", ranges={"ceiling_db": (-20.0, 0.0)}, true_peak=True)
    assert [(q.name, q.low, q.high, q.default) for q in limiter.controls] == [("ceiling_db", -20.0, 0.0, -1.0)]
    assert set(limiter.settings) == {"lookahead_ms", "release_ms", "true_peak"}
    by_hand = pedalboard.BrickwallLimiter(ceiling_db=-12.0, true_peak=True)(x[0].numpy(), RATE)
    assert np.array_equal(limiter(x, ceiling_db=-12.0)[0].numpy(), by_hand)
    with pytest.raises(ValueError, match="controls cannot vary in time"):
        limiter(x, torch.rand(1, 1, 5))
    assert [q.name for q in dasp.external("Compressor", controls=("ratio", "threshold_db")).controls] == ["ratio", "threshold_db"]
    few = dasp.external("Compressor", controls=("threshold_db",), ratio=8.0)
    whole = dasp.external("Compressor")
    assert [q.name for q in few.controls] == ["threshold_db"]
    assert torch.equal(few(x, threshold_db=-30.0), whole(x, threshold_db=-30.0, ratio=8.0))
    assert type(dasp.external("Compressor")) is type(whole)
    assert type(few) is not type(whole)


def test_an_effect_travels_to_where_its_class_was_not_made():
    effect, x = dasp.external("Compressor", controls=("threshold_db",), ratio=8.0), music().float()
    pickled, heard = pickle.dumps(effect), effect(x, threshold_db=-30.0)
    _class_of.cache_clear()
    twin = pickle.loads(pickled)
    assert type(twin) is not type(effect)
    assert torch.equal(twin(x, threshold_db=-30.0), heard)


def test_a_gradient_passes_through_a_chain_with_a_plugin():
    x = music().float()
    chain = dasp.Chain(dasp.Gain(), dasp.external("Reverb", gradient=FiniteDifference(audio="adjoint")))
    u = torch.full((1, len(chain.controls)), 0.5, dtype=torch.float64)
    white = dasp.Chain(dasp.Gain(), dasp.Reverb())
    ours, exact = gradient(chain, x, u), gradient(white, x, u)
    torch.testing.assert_close(ours, exact, rtol=5e-3, atol=5e-3 * float(exact.abs().max()))


GRID = [i / 64 for i in range(65)]


@pytest.mark.parametrize(
    ("texts", "law"),
    [
        ([f"{-60 + 60 * r:.2f} dB" for r in GRID], (-60.0, 0.0, "linear")),
        ([f"{20 * 1000**r:.1f} Hz" for r in GRID], (20.0, 20000.0, "log")),
        ([f"{round(100 * r)} %" for r in GRID], (0.0, 100.0, "linear")),
        ([f"{100 * r**3:.3f} ms" for r in GRID], None),
        ([f"{20 * 1000**r:.1f} Hz" if r < 0.5 else f"{0.02 * 1000**r:.1f} kHz" for r in GRID], None),
        (["-inf dB", *[f"{-60 + 60 * r:.2f} dB" for r in GRID[1:]]], None),
        ([f"{100 - 100 * r:.0f} %" for r in GRID], None),
        (["Off"] * 65, None),
    ],
    ids=["linear", "log", "coarse", "cubic", "units change", "infinite", "falling", "words"],
)
def test_a_range_is_read_from_what_the_plugin_displays(texts, law):
    assert _law(texts) == law


def test_health_of_pedalboards_own():
    comp, verb = dasp.external_health("Compressor"), dasp.external_health("Reverb")
    assert comp.deterministic and comp.finite_at_defaults and comp.finite_at_random == comp.settings == 4
    assert comp.block_size == comp.settings_before == 0 and comp.without_effect == ()
    assert comp.linear > 0.01 and comp.time_invariant == 0 and comp.adjoint is False
    assert verb.adjoint is True and verb.linear < 1e-5 and verb.channels == (1, 2)
    late = dasp.external_health("BrickwallLimiter", ranges={"ceiling_db": (-20.0, 0.0), "lookahead_ms": (5.0, 5.1)})
    assert late.latency_samples > 0
    assert json.loads(json.dumps(verb.as_dict()))["adjoint"] is True


def on_another_thread(function):
    """What a function returns or raises on a thread of its own."""
    got = []

    def run():
        try:
            got.append(function())
        except Exception as error:
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return got[0]


@pytest.mark.vst3
class TestThirdParty:
    def test_the_table_is_the_plugins(self, plugins):
        cls = type(dasp.external(plugins / "ZamCompX2.vst3"))
        table = [(q.name, q.unit, q.low, q.high, q.default, q.scale) for q in cls.controls]
        assert table == [
            ("attack_ms", "ms", 0.1, 100.0, 10.0, "linear"),
            ("release_ms", "ms", 1.0, 500.0, 80.0, "linear"),
            ("knee_db", "dB", 0.0, 8.0, 0.0, "linear"),
            ("ratio", "", 1.0, 20.0, 4.0, "linear"),
            ("threshold_db", "dB", -80.0, 0.0, 0.0, "linear"),
            ("makeup_db", "dB", 0.0, 30.0, 0.0, "linear"),
            ("slew", "", 1.0, 150.0, 1.0, "linear"),
        ]
        assert cls.choices == {"stereo_detection": (0.0, 1.0), "plugin_sidechain": (0.0, 1.0)}
        meters = {"gain_reduction_db", "output_level_db", "buffer_size_frames", "sample_rate_frames"}
        assert set(cls.left_out) == meters | {"current_program"}
        assert "preset" in cls.left_out["current_program"]
        assert cls.channels == (2,)

    def test_choices_names_and_meters_of_others(self, plugins):
        plate = dasp.external(plugins / "DragonflyPlateReverb.vst3", algorithm="Tank")
        assert type(plate).choices["algorithm"] == ("Simple", "Nested", "Tank")
        assert dasp.external(plugins / "ZamDelay.vst3").channels == (1,)
        multi = type(dasp.external(plugins / "ZaMultiCompX2.vst3"))
        assert "a meter" in multi.left_out["gain_reduction_1_db"]  # which this plugin lets a host automate
        tube = type(dasp.external(plugins / "ZamTube.vst3"))
        assert "input_level" in [q.name for q in tube.controls]  # named as a meter might be, and heard
        bands = [q.name for q in dasp.external(plugins / "ZamGEQ31.vst3").controls]
        assert "plugin_1257hz_db" in bands  # `1257hz_db` is no keyword

    def test_called_as_by_hand(self, plugins, pedalboard):
        x = music(batch=3).float()
        path = plugins / "ZamCompX2.vst3"
        comp, by_hand = dasp.external(path, stereo_detection=1.0), pedalboard.load_plugin(str(path))
        by_hand.stereo_detection = 1.0
        heard = comp(x, threshold_db=torch.tensor([-20.0, -40.0, 0.0]), attack_ms=2.0)
        for y, audio, threshold in zip(heard, x, (-20.0, -40.0, 0.0), strict=True):
            by_hand.parameters["threshold_db"].raw_value = (threshold + 80) / 80
            by_hand.parameters["attack_ms"].raw_value = (2.0 - 0.1) / 99.9
            assert np.array_equal(y.numpy(), by_hand(audio.numpy(), RATE))
        assert torch.equal(comp(x.double(), threshold_db=-40.0), comp(x, threshold_db=-40.0).double())

    @pytest.mark.parametrize("check", [c for c in CHECKS if c.__name__[6:] in APPLICABLE], ids=lambda c: c.__name__)
    @pytest.mark.parametrize("name", ["DragonflyPlateReverb", "ZaMaximX2"])
    def test_conforms(self, plugins, name, check):
        """One is loaded again at each reset, the other has latency."""
        few = {"DragonflyPlateReverb": ("dry_level", "wet_level", "decay_s"), "ZaMaximX2": ("threshold_db", "release_ms")}[name]
        check(functools.partial(dasp.external, plugins / f"{name}.vst3", gradient="fd", controls=few))

    def test_earlier_settings_are_forgotten_to_the_last_bit(self, plugins):
        """Left alone, this plugin's default differs by 2e-7 from the same value once it was moved and put back."""
        x, hall = music().float(), dasp.external(plugins / "DragonflyHallReverb.vst3")
        first = hall(x)
        hall(x, 1 - hall.unit(1))
        assert torch.equal(hall(x), first)

    def test_moving_controls_are_the_plugin_block_by_block(self, plugins, pedalboard):
        x = music(seconds=0.05).float()
        path = plugins / "ZamCompX2.vst3"
        effect = dasp.external(path, controls=("threshold_db",), ratio=8.0)
        u = torch.linspace(1, 0.2, 10, dtype=torch.float64).reshape(1, 1, 10)
        from dasp.automation import to_grid

        by_hand, blocks = pedalboard.load_plugin(str(path)), []
        by_hand.parameters["ratio"].raw_value = 7 / 19
        for k, value in enumerate(to_grid(u, x.shape[2])[0, 0]):
            by_hand.parameters["threshold_db"].raw_value = float(value)
            block = x[0, :, 32 * k : 32 * k + 32].numpy()
            blocks.append(by_hand.process(np.pad(block, ((0, 0), (0, 32 - block.shape[1]))), RATE, buffer_size=32, reset=False))
        assert np.array_equal(effect(x, u)[0].numpy(), np.concatenate(blocks, 1)[:, : x.shape[2]])
        moved = gradient(dasp.external(path, controls=("threshold_db",), ratio=8.0, gradient="fd"), x, u)
        assert (moved != 0).any(2).all()

    def test_fd_and_spsa_agree(self, plugins):
        few = ("threshold_db", "ratio", "makeup_db", "knee_db")
        x, u = music().float(), torch.tensor([[0.8, 0.1, 0.3, 0.3]], dtype=torch.float64)
        make = functools.partial(dasp.external, plugins / "ZamCompX2.vst3", controls=few)
        # A weight that follows the output, so that no control's gradient is lost in chance.
        weight = make()(x, u).detach()
        exact = gradient(make(gradient="fd"), x, u, weight)
        assert (exact.abs() > 1e-3 * exact.abs().max()).all()
        assert cosine(gradient(make(gradient=SPSA(directions=256)), x, u, weight), exact) > 0.98

    def test_trainable_blocks_before_a_plate(self, plugins):
        x = music(seconds=0.2).float()
        plate = dasp.external(plugins / "DragonflyPlateReverb.vst3", gradient=FiniteDifference(audio="adjoint"))
        front = dasp.Chain(dasp.ParametricEQ(), dasp.Gain())
        room = plate.unit(1, wet_level=60.0, decay_s=2.0)
        u = torch.full((1, len(front.controls)), 0.6, dtype=torch.float64)
        target = 0.5 * music(seconds=0.2, seed=3)

        def loss(u):
            return (plate(front(x, u), room).double() - target).square().mean()

        v = u.clone().requires_grad_()
        (ours,) = torch.autograd.grad(loss(v), v)
        step = 1e-2 * torch.eye(u.shape[1], dtype=torch.float64)
        whole = torch.stack([(8 * (loss(u + s) - loss(u - s)) - (loss(u + 2 * s) - loss(u - 2 * s))) / 0.12 for s in step])
        assert cosine(ours, whole) > 0.9999
        torch.testing.assert_close(ours[0], whole, rtol=2e-2, atol=2e-3 * float(whole.abs().max()))

    def test_the_adjoint_refuses_a_compressor(self, plugins):
        x = music().float().requires_grad_()
        comp = dasp.external(plugins / "ZamCompX2.vst3", gradient=SPSA(audio="adjoint"))
        with pytest.raises(ValueError, match="ZamCompX2: audio='adjoint' holds for linear time-invariant"):
            comp(x, threshold_db=-40.0).square().sum().backward()

    def test_threads(self, plugins):
        x = music(batch=4).float()
        maxim = dasp.external(plugins / "ZaMaximX2.vst3")
        expected = maxim(x, threshold_db=-20.0)
        assert torch.equal(on_another_thread(lambda: maxim(x, threshold_db=-20.0)), expected)
        plate = dasp.external(plugins / "DragonflyPlateReverb.vst3")
        error = on_another_thread(lambda: plate(x))
        assert isinstance(error, RuntimeError) and "main thread only" in str(error)
        error = on_another_thread(lambda: dasp.external(plugins / "ZamPhono.vst3"))
        assert isinstance(error, RuntimeError) and "main thread only" in str(error)

    def test_travels_to_another_process(self, plugins, tmp_path):
        x = music().float()
        effect = dasp.external(plugins / "ZaMaximX2.vst3")
        path = tmp_path / "effect.pickle"
        path.write_bytes(pickle.dumps((effect, x, effect(x, threshold_db=-20.0))))
        code = "import pickle, sys; e, x, y = pickle.load(open(sys.argv[1], 'rb')); print((e(x, threshold_db=-20.0) == y).all())"
        command = [sys.executable, "-c", code, str(path)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("tensor(True)")

    def test_mistakes_are_sentences(self, plugins):
        with pytest.raises(ImportError, match=r"ZamHeadX2\.vst3: Pedalboard cannot load it: ."):
            dasp.external(plugins / "ZamHeadX2.vst3")
        with pytest.raises(ImportError, match="pins: Pedalboard cannot load it"):
            dasp.external(plugins / "pins")
        path = plugins / "ZamCompX2.vst3"
        with pytest.raises(ValueError, match="plugin_name= must be one of those in the file: ZamCompX2"):
            dasp.external(path, plugin_name="ZamComp")
        with pytest.raises(ValueError, match="takes 2 channels; got 1"):
            dasp.external(path)(torch.zeros(1, 1, 64))
        with pytest.raises(ValueError, match="threshold_db goes from -80 to 0"):
            dasp.external(path, ranges={"threshold_db": (-20, 10)})
        with pytest.raises(ValueError, match="buffer_size is a number of samples"):
            dasp.external(path, buffer_size=0)
        with pytest.raises(ValueError, match="too many frames; at most one in 3 samples"):
            dasp.external(path)(torch.zeros(1, 2, 64), torch.zeros(1, 7, 32))

    def test_health_of_what_is_not_a_function(self, plugins):
        room = dasp.external_health(plugins / "DragonflyRoomReverb.vst3")
        assert room.deterministic is False and room.repeat > 1e-3 and room.new_instance > 1e-3
        assert room.adjoint is None and room.reloaded_at_reset
        answers = {question: answer for question, answer, _ in room.rows()}
        assert answers["deterministic: repeated"] == "NO" and answers["linear"] == "?"

    def test_health_of_one_that_is_nan_as_it_loads(self, plugins, pedalboard):
        health = dasp.external_health(plugins / "ZamEQ2.vst3")
        assert not health.finite_as_loaded and health.channels == (1,)
        # Its knobs moved and put back, as every plugin's are here, it is an equaliser.
        assert health.finite_at_defaults and health.finite_at_random == 4 and health.adjoint

    def test_health_of_block_size_and_latency(self, plugins):
        delay = dasp.external_health(plugins / "ZamDelay.vst3", settings=2)
        assert delay.deterministic and delay.block_size > 0.05 and not delay.reloaded_at_reset
        maxim = dasp.external_health(plugins / "ZaMaximX2.vst3", settings=2)
        assert maxim.latency_samples == 480 and maxim.deterministic and maxim.block_size == 0 and maxim.linear > 0.01

    def test_health_says_which_plugin_the_adjoint_suits(self, plugins):
        plate = dasp.external_health(plugins / "DragonflyPlateReverb.vst3")
        assert plate.adjoint and plate.deterministic and plate.settings_before == plate.sound_before == plate.block_size == 0
        assert dasp.external_health(plugins / "ZamCompX2.vst3").adjoint is False

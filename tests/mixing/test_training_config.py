"""Recipes of `dasp train`: shipped ones can be used, wrong ones are one sentence."""

import pytest
import torch
import yaml

from mixing import losses, models
from mixing.errors import UserError
from mixing.training.config import Config, Loss, check_names, config, read, shipped
from mixing.training.objective import Objective
from mixing.training.run import build
from proxies.recipe import changes

SHIPPED_MODELS = ("dmc-full", "dmc-full-proxy", "dmc-gain-pan", "mix-wave-u-net-small")


def test_defaults_and_round_trip():
    whole = config({"model": {"kind": "dmc"}})
    assert whole == Config({"kind": "dmc"})
    assert config(yaml.safe_load(yaml.safe_dump(whole.as_dict()))) == whole


def test_sections_and_changes():
    settings = {"model": {"kind": "dmc"}, "loss": {"terms": {"l1": {"weight": 2}}, "parameters": 1}, "precision": 32}
    whole = config(
        settings, **changes(["model.gradient=spsa", "optimiser.learning_rate=3e-3", "data.hold_out=[a*, b]", "steps=400"])
    )
    assert whole.loss == Loss({"l1": {"weight": 2}}, 1.0)
    assert (whole.model, whole.steps, whole.precision) == ({"kind": "dmc", "gradient": "spsa"}, 400, "32")
    assert (whole.data.hold_out, whole.optimiser.learning_rate) == (("a*", "b"), 3e-3)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": None}, "model is dict; got None"),
        ({"model": {}}, "model needs a kind"),
        ({"stepz": 3}, "no setting stepz. Did you mean steps"),
        ({"data": {"holdout": ["a"]}}, "no setting data.holdout. Did you mean data.hold_out"),
        ({"data": {"samples": 0}}, "data.samples is at least 1; got 0"),
        ({"steps": 250}, r"steps is a multiple of validate \(200\); got 250. Take 200"),
        ({"loss": {"terms": {"l1": 3}}}, r"loss.terms.l1 is {weight: above 0, ...settings}; got 3"),
        ({"loss": {"terms": {"l1": {"weight": 0}}}}, "loss.terms.l1 is"),
        ({"loss": {"terms": {}}}, "nothing to learn"),
        ({"optimiser": {"learning_rate": 0}}, "optimiser.learning_rate is above 0"),
        ({"optimiser": {"average": 1.0}}, "optimiser.average is from 0 to below 1"),
        ({"optimiser": {"average": 0.9}, "adapt": {"lr": 0.1}}, "not with adapt.lr"),
        ({"precision": 8}, "precision is one of '32', 'bf16', '16'; got 8"),
        ({"workers": -1}, "workers is at least 0"),
    ],
)
def test_wrong_settings_are_one_sentence(settings, sentence):
    with pytest.raises(UserError, match=f"^config: .*{sentence}"):
        config({"model": {"kind": "dmc"}, **settings})


def test_what_is_looked_up_by_name():
    with pytest.raises(UserError, match=r"^config: needs a model"):
        config({})
    for settings, sentence in (
        ({"model": {"kind": "dcm"}}, "no model of kind 'dcm'.*Did you mean 'dmc'"),
        ({"model": {"kind": "sum"}}, "no model of kind 'sum'"),
        ({"model": {"kind": "dmc"}, "loss": {"terms": {"sisdr": {"weight": 1}}}}, "no loss 'sisdr'.*Did you mean 'si_sdr'"),
    ):
        with pytest.raises(UserError, match=sentence):
            check_names(config(settings), models.kinds(), losses.names())
    with pytest.raises(UserError, match="Did you mean 'dmc-full'"):
        read("dmc-ful")
    with pytest.raises(UserError, match=r"config: model: .*strip is one of"):
        build(config({"model": {"kind": "dmc", "strip": "wide"}}))
    with pytest.raises(UserError, match=r"config: loss: .*fft_size"):
        Objective(config({"model": {"kind": "dmc"}, "loss": {"terms": {"l1": {"weight": 1, "fft_size": 3}}}}))
    for setting, sentence in (("steps", "expected NAME=VALUE"), ("data.songs=[a", "is not YAML")):
        with pytest.raises(ValueError, match=sentence):
            changes([setting])


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_can_be_used(name):
    whole = config(read(name))
    check_names(whole, models.kinds(), losses.names())
    Objective(whole)
    with torch.device("meta"):
        model = build(whole)
    assert model.kind == whole.model["kind"]
    assert all(entry.keys() == {"name", "licence", "origin"} for entry in whole.data.licences) and whole.data.licences
    assert f"dasp train {name} " in (read_text(name))


def read_text(name):
    from mixing.training.config import CONFIGS

    return (CONFIGS / f"{name}.yaml").read_text()


def test_what_is_shipped_is_judged_on_songs_that_none_has_heard():
    assert set(SHIPPED_MODELS) <= set(shipped())
    splits = {(c.data.hold_out, c.data.validation) for c in (config(read(name)) for name in SHIPPED_MODELS)}
    ((hold_out, validation),) = splits
    assert "eif_rubidium_*" in hold_out and sum(name.startswith("freedoom_") for name in hold_out) == 5
    assert not set(hold_out) & set(validation)

"""The header says which of its fields is wrong."""

import dataclasses
import json

import pytest
import torch
from proxy_files import CONTROLS, TABLE, header_of, network

from proxies import Header, control_table

ONE = control_table(CONTROLS)[0]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"version": 2}, "version: expected 1.*got 2"),
        ({"effect": ""}, "effect: expected a line of text; got ''"),
        ({"command": "a\nb"}, r"command: expected a line of text; got 'a\\nb'"),
        ({"licence": "\x1b[31m"}, "licence: expected a line"),
        ({"controls": ONE}, "controls: expected a list; got an object of name, unit"),
        ({"controls": ()}, "controls: expected at least one"),
        ({"controls": (ONE, ONE)}, "controls: .*each with a name of its own"),
        ({"controls": (ONE | {"low": 0},)}, "controls: .*low < high"),
        ({"controls": (ONE | {"scale": "log"},)}, "controls: .*scale"),
        ({"controls": (ONE | {"step": 1},)}, "controls: .*got an object of name, unit, low, high, scale, step"),
        ({"controls": (ONE | {"high": True},)}, "controls"),
        ({"sample_rate": 0}, "sample_rate: expected Hz; got 0"),
        ({"channels": 0}, "channels: expected a count or null; got 0"),
        ({"channels": 1.5}, "channels: expected a count or null; got 1.5"),
        ({"network": {"blocks": 2}}, "network: expected a kind and settings.*; got an object of blocks"),
        ({"network": {"kind": "tcn", "blocks": 1 << 40}}, "network: .*within 1048576"),
        ({"network": {"kind": "tcn", "blocks": [[1]]}}, "network"),
        ({"network": {"kind": "tcn", "blocks": {"a": 1}}}, "network"),
        ({"level_db": (0, -60)}, r"level_db: expected two levels, the lower first; got \(0, -60\)"),
        ({"level_db": (float("-inf"), 0)}, "level_db"),
        ({"seed": True}, "seed"),
        ({"data": ({"name": "x"},)}, "data: expected name, licence and origin; got an object of name"),
        ({"scores": {"esr": {"attack": [0, float("nan")]}}}, "scores.esr.attack.1: expected finite numbers"),
        ({"scores": {"esr": torch.zeros(1)}}, "scores.esr: expected finite numbers"),
        ({"scores": {1.5: 0}}, "scores: expected names that are text; got 1.5"),
        ({"scores": []}, r"scores: expected numbers by name; got \[\]"),
    ],
)
def test_a_header_says_which_field_is_wrong(fields, sentence):
    with pytest.raises(ValueError, match=f"^header: {sentence}"):
        header_of(network(), **fields)


def test_the_header_read_is_the_header_written():
    assert Header.from_json(json.dumps(TABLE)) == header_of(network())
    assert dataclasses.asdict(Header.from_json(json.dumps(TABLE))).keys() == TABLE.keys()

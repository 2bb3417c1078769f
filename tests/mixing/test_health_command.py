"""`dasp health`: a table, a file of figures, and one sentence for a mistake."""

import json

import pytest


def test_the_table_and_the_file(dasp_command, tmp_path):
    code, out, err = dasp_command("health", "Reverb", "--settings", 2, "--rate", 48000, "--json", tmp_path / "health.json")
    assert (code, err) == (0, "")
    assert "Reverb at 48000 Hz" in out
    for words in ("deterministic: repeated", "any block size", "time-invariant", 'audio="adjoint"', "freeze_mode=0.0"):
        assert words in out
    figures = json.loads((tmp_path / "health.json").read_text())
    assert figures["adjoint"] and figures["deterministic"] and figures["latency_samples"] == 0
    assert figures["settings"] == 2 and figures["channels"] == [1, 2]


def test_a_range_that_no_plugin_publishes(dasp_command, refused):
    assert "publishes no ranges of ceiling_db" in refused("health", "BrickwallLimiter")
    code, out, _ = dasp_command("health", "BrickwallLimiter", "--range", "ceiling_db", -20, 0, "--settings", 1)
    assert code == 0 and "ceiling_db" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "PLUGIN"),
        (("no/such.vst3",), "no plugin's file"),
        (("Compresor",), "Did you mean 'Compressor'"),
        (("Compressor", "--settings", 0), "--settings"),
        (("Compressor", "--rate", 1), "--rate"),
        (("Compressor", "--range", "treshold_db", 0, 1), "Did you mean 'threshold_db'"),
        (("Compressor", "--plugin-name", "x"), "plugin_name"),
        (("Compressor", "--settings", 1, "--json", "no/such/folder.json"), "cannot be written"),
    ],
)
def test_a_mistake_is_one_sentence(refused, arguments, words):
    assert words in refused("health", *arguments)

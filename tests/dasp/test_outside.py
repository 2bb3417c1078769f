"""A new effect is one file, also outside the package: the one in CONTRIBUTING.md, as a module of somebody else's."""

import importlib
import re
import sys
from pathlib import Path

from dasp.effects import registry
from dasp.testing import CHECKS, check_effect

CONTRIBUTING = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


def test_the_documented_effect_conforms_from_outside(tmp_path, monkeypatch):
    block = re.search(r"^```python\n(import torch\nfrom dasp import Effect.*?)^```", CONTRIBUTING.read_text(), re.M | re.S)
    assert len(block[1].splitlines()) <= 30
    (tmp_path / "somebodys_effects.py").write_text(block[1])
    monkeypatch.syspath_prepend(tmp_path)
    try:
        module = importlib.import_module("somebodys_effects")
        passed = check_effect(module.SoftClip)
        assert "check_blackbox" in passed
        assert len(passed) >= len(CHECKS) - 1  # it has no side-chain
        assert "SoftClip" not in registry()
    finally:
        sys.modules.pop("somebodys_effects", None)

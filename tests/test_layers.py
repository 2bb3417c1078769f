"""The direction of dependencies: every import of every module, read from its syntax tree; and what `import dasp` loads."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = ("gradients", "proxies", "dasp", "mixing")

# A layer -> the layers below it. gradients and proxies stand side by side and do not know each other.
BELOW = {"gradients": (), "proxies": (), "dasp": ("gradients", "proxies"), "mixing": ("dasp", "gradients", "proxies")}
# Parts of dasp that know no effect.
BLIND = {"dasp.atoms": ("dasp.atoms",), "dasp.param": (), "dasp.automation": ()}
# A package -> the only modules that may import it.
KERNELS = tuple(f"dasp.atoms.gpu.{path.stem}" for path in (ROOT / "dasp" / "atoms" / "gpu").glob("*.py"))
DOORS = {"pedalboard": ("dasp.blackbox",), "torchaudio": ("dasp._torchaudio",), "triton": KERNELS}
DOORS["sklearn"] = ("mixing.models.regression",)
DOORS["librosa"] = ("mixing.evaluation._librosa",)
DOORS["pytorch_lightning"] = ("mixing.training.lightning",)
DOORS["safetensors"] = ("proxies.store", "proxies.snapshot")
NUMERIC = {"torch", "numpy"}
# A layer -> the extras whose packages it may import, where they are used.
EXTRAS = {"proxies": ("train",), "mixing": ("evaluate", "mixing", "train")}
# Packages that are imported under another name than they are installed by.
IMPORTED_AS = {
    "PyYAML": "yaml",
    "lightning-fabric": "lightning_fabric",
    "pytorch-lightning": "pytorch_lightning",
    "scikit-learn": "sklearn",
}
LONGEST = 400


def modules() -> dict[str, Path]:
    """Every module of the four packages by its dotted name."""
    found = {}
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source: str, package: str) -> set[str]:
    """Dotted names that a module imports, at its top or within functions, by statement or by `import_module("name")`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                found.add(str(node.args[0].value))
    return found


def declared(*extras: str) -> set[str]:
    """Import names of the packages of these extras in pyproject.toml."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {entry.split(">")[0].split("[")[0] for extra in extras for entry in table[extra]} - {"dasp-toolkit"}
    return {IMPORTED_AS.get(package, package) for package in packages}


def complaints(module: str, names: set[str]) -> list[str]:
    """What is wrong with a module's imports."""
    layer = module.split(".")[0]
    third_party = NUMERIC | declared(*EXTRAS.get(layer, ()))
    wrong = []
    for name in sorted(names):
        top = name.split(".")[0]
        if top in DOORS:
            if module not in DOORS[top]:
                wrong.append(f"{module} imports {name}; only {' and '.join(DOORS[top])} may")
        elif top in LAYERS:
            if top != layer and top not in BELOW[layer]:
                wrong.append(f"{module} imports {name}, which is not below it")
            for part, allowed in BLIND.items():
                inside = f"{module}.".startswith(f"{part}.")
                if inside and top == layer and not any(f"{name}.".startswith(f"{a}.") for a in allowed):
                    wrong.append(f"{module} imports {name}; {part} knows no effect")
        elif top not in sys.stdlib_module_names and top not in third_party:
            wrong.append(f"{module} imports {name}, which is neither below it nor declared for it")
    return wrong


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module):
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    assert complaints(module, imports(path.read_text(), package)) == []


@pytest.mark.parametrize(
    ("module", "source", "word"),
    [
        ("gradients.spsa", "import proxies.tcn", "not below"),
        ("gradients.spsa", "from dasp import Gain", "not below"),
        ("proxies.tcn", "from gradients import SPSA", "not below"),
        ("dasp.chain", "def f():\n    import mixing", "not below"),
        ("dasp.effects.gain", "from ...mixing import Sum", "not below"),
        ("dasp.effects.gain", "import scipy.signal", "neither"),
        ("dasp.effects.gain", "from pedalboard import Gain", "only dasp.blackbox"),
        ("mixing.audio", "import importlib\nimportlib.import_module('torchaudio')", "only dasp._torchaudio"),
        ("mixing.audio", "import librosa", "only mixing.evaluation._librosa"),
        ("mixing.audio", "import pandas", "neither"),
        ("proxies.tcn", "from safetensors.torch import load", "only proxies.store and proxies.snapshot"),
        ("proxies.train", "import matplotlib", "neither"),
        ("proxies.train", "from dasp import Compressor", "not below"),
        ("dasp.atoms.biquad", "import triton", "only dasp.atoms.gpu"),
        ("mixing.audio", "from tests.conftest import x", "neither"),
        ("dasp.atoms.biquad", "from dasp.effect import Effect", "knows no effect"),
        ("dasp.atoms.biquad", "from dasp import effects", "knows no effect"),
    ],
)
def test_a_wrong_import_is_found(module, source, word):
    package = module.rpartition(".")[0]
    (complaint,) = complaints(module, imports(source, package))
    assert word in complaint


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gradients.spsa", "import torch\nfrom gradients.strategy import Strategy\nfrom collections import abc"),
        ("dasp.blackbox", "def f():\n    import pedalboard"),
        ("dasp.effects.gain", "from ..atoms.level import db_to_gain\nfrom gradients import SPSA"),
        ("dasp.atoms.biquad", "from . import _library\nfrom gradients.batching import batched"),
        ("mixing.audio", "import soundfile, soxr, dasp"),
        ("proxies.config", "def f():\n    import yaml, lightning_fabric"),
    ],
)
def test_a_right_import_passes(module, source):
    assert complaints(module, imports(source, module.rpartition(".")[0])) == []


def test_every_layer_is_walked():
    assert {m.split(".")[0] for m in modules()} == set(LAYERS)
    assert len(modules()) > 50


def test_files_are_small():
    folders = (*LAYERS, "benchmarks", "tests", "tools")
    files = [f for folder in folders for kind in ("py", "cpp", "h", "cu") for f in (ROOT / folder).rglob(f"*.{kind}")]
    assert len(files) > 50
    lengths = {str(f.relative_to(ROOT)): len(f.read_text().splitlines()) for f in files}
    assert {name: n for name, n in lengths.items() if n > LONGEST} == {}


LOADED = """
import sys
import {package}
optional = {{"pedalboard", "safetensors", "scipy", "torchaudio", "matplotlib", "soundfile", "click", "rich"}}
optional |= {{"mixing", "dasp.atoms.gpu", "auraloss", "lightning_fabric", "pytorch_lightning", "sklearn", "tensorboard", "yaml"}}
optional |= {{"soxr", "librosa"}}
optional -= {{"{package}"}}
print(*sorted(optional & set(sys.modules)))
print("torch" in sys.modules)
"""


def fresh(package: str) -> list[str]:
    """What a new process has loaded after the import: optional packages, and whether torch."""
    run = subprocess.run([sys.executable, "-c", LOADED.format(package=package)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


@pytest.mark.parametrize("package", ["dasp", "gradients", "proxies"])
def test_import_loads_nothing_optional(package):
    assert fresh(package) == ["", "True"]


def test_the_command_line_starts_without_torch():
    assert fresh("mixing.cli")[1] == "False"

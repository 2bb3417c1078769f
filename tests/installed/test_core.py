"""The core with none of the extras: torch, numpy and safetensors.

The suite runs these tests with the extras' packages hidden, `make compat` a copy of this file, in an empty folder, where they are
not installed at all. Hence it needs nothing but pytest and dasp.
"""

import subprocess
import sys
from importlib.metadata import packages_distributions, requires

import pytest

HIDE = """
import sys
for name in {names!r}:
    sys.modules[name] = None
"""


def extras() -> list[str]:
    """Import names of the packages that only dasp's extras ask for, as far as they are here."""
    asked = [line.partition(";") for line in requires("dasp-toolkit") or ()]
    packages = {plain(entry) for entry, _, condition in asked if "extra ==" in condition} - {"dasp-toolkit"}
    return sorted(name for name, found in packages_distributions().items() if packages & {plain(f) for f in found})


def plain(requirement: str) -> str:
    """The name of a package as registries compare it."""
    end = next((i for i, c in enumerate(requirement) if not (c.isalnum() or c in "-_.")), len(requirement))
    return requirement[:end].lower().replace("_", "-").replace(".", "-")


def core(code: str) -> subprocess.CompletedProcess:
    """Run code in a new process that has no extra; whatever warns there fails."""
    hide = HIDE.format(names=extras())
    return subprocess.run([sys.executable, "-W", "error", "-c", hide + code], capture_output=True, text=True, check=False)


def ran(code: str) -> list[str]:
    run = core(code)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_the_packages_are_imported_with_compiled_kernels():
    assert ran("""
import dasp, gradients, mixing, proxies
from dasp.atoms._library import _LIBRARY
print(_LIBRARY is not None)
""") == ["True"]


def test_every_effect_acts_and_has_gradients():
    names = ran("""
import torch
from dasp.effects import registry
from dasp.testing.signals import setting
torch.set_num_threads(1)
for name, cls in registry().items():
    effect, x, u = setting(cls)
    x, u = x.float().requires_grad_(), u.requires_grad_()
    y = effect(x, u)
    y.square().sum().backward()
    assert torch.isfinite(y).all() and (x.grad != 0).any(), name
    assert not cls.controls or (u.grad != 0).any(), name
    print(name)
""")
    assert len(names) > 40


def test_shipped_proxies_imitate():
    ran("""
import torch, dasp
x = 0.5 * torch.randn(1, 2, 8192, generator=torch.Generator().manual_seed(0))
for cls in (dasp.Compressor, dasp.ParametricEQ):
    effect = cls(gradient="proxy")
    u = effect.unit(1).requires_grad_()
    y = effect(x, u)
    y.square().sum().backward()
    assert torch.isfinite(y).all() and (u.grad != 0).any()
    assert (y - cls()(x, u)).square().mean() < 0.1 * y.square().mean()
""")


def test_an_opaque_function_gets_a_gradient():
    ran("""
import torch
from gradients import SPSA, FiniteDifference, Target
target = Target("f", None, lambda x, u: x * u[..., None], None)
for strategy in (FiniteDifference(audio="adjoint"), SPSA(audio="adjoint")):
    u = torch.full((1, 1), 0.5, requires_grad=True)
    strategy(target, torch.ones(1, 1, 64), u).sum().backward()
    assert abs(float(u.grad) - 64) < 0.1, strategy
""")


def test_a_real_plugin_is_refused_in_one_sentence():
    said = " ".join(
        ran("""
import torch, dasp
try:
    dasp.Compressor(gradient="fd")(torch.zeros(1, 1, 64))
except ImportError as error:
    print(error)
""")
    )
    assert said.startswith("the real plugins need Pedalboard")
    assert "pip install 'dasp-toolkit[plugins]'" in said


@pytest.mark.parametrize("arguments", [["--help"], [], ["effects"], ["mix", "stems"]])
def test_the_command_line_says_what_to_install(arguments):
    run = core(f"""
sys.argv = ["dasp", *{arguments!r}]
from mixing.__main__ import main
main()
""")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "dasp: the command line needs click, which is not installed: pip install 'dasp-toolkit[mixing]'.\n"

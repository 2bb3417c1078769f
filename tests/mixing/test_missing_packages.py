"""What the command line says where a package is missing; tests/installed has the case of a core without any extra."""

import importlib.machinery
import importlib.util
import sys

import pytest

from mixing import __main__ as start
from proxies import evaluate, train


def sentence(capsys, monkeypatch, *arguments: object) -> str:
    monkeypatch.setattr(sys, "argv", ["dasp", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        start.main()
    assert end.value.code == 2
    return capsys.readouterr().err


def test_a_package_of_the_command_line(song, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    said = sentence(capsys, monkeypatch, "mix", song, "-o", tmp_path / "out")
    assert said == "dasp: the command line needs soundfile, which is not installed: pip install 'dasp-toolkit[mixing]'.\n"
    assert not (tmp_path / "out").exists()


def test_a_package_whose_own_door_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    said = sentence(capsys, monkeypatch, "demo", "-o", tmp_path / "out")
    assert said.startswith("dasp: the real plugins need Pedalboard")
    assert said.count("\n") == 1
    assert "pip install 'dasp-toolkit[plugins]'" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [train, evaluate])
def test_the_commands_of_proxies(command, capsys, monkeypatch):
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "soxr" else importlib.machinery.ModuleSpec(name, None)
    )
    with pytest.raises(SystemExit) as end:
        command.main([])
    assert end.value.code == 2
    assert capsys.readouterr().err == f"{command.__name__}: needs soxr: pip install 'dasp-toolkit[train]'.\n"


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'mixing.gone'", name="mixing.gone"),
        ModuleNotFoundError("No module named '_lzma'", name="_lzma"),
        ImportError("cannot import name 'x' from 'soundfile'", name="soundfile"),
        ImportError("DASP_INSTRUCTIONS=avx9"),
    ],
)
def test_other_errors_are_not_taken_for_it(error, monkeypatch):
    from mixing import cli

    def fail():
        raise error

    monkeypatch.setattr(cli, "main", fail)
    with pytest.raises(ImportError) as raised:
        start.main()
    assert raised.value is error

"""What no line of the toolkit does: read by its syntax tree, with each exception named, reasoned and still there."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("dasp", "gradients", "proxies", "mixing", "benchmarks", "tools", "docs")
# Where objects are taken apart and put together again: the public suites check that effects survive it.
APART = ("dasp/testing/",)

OBJECTS = ("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "jsonpickle", "joblib", "marshal", "shelve")
NETWORK = ("aiohttp", "ftplib", "http.client", "httpx", "requests", "smtplib", "socket", "urllib.request", "urllib3", "xmlrpc")
MARKUP = ("lxml", "xml")
CALLS = {
    "eval": "runs text",
    "exec": "runs text",
    "compile": "runs text",
    "os.popen": "a shell",
    "os.system": "a shell",
    "subprocess.getoutput": "a shell",
    "subprocess.getstatusoutput": "a shell",
    "shutil.unpack_archive": "unpacks an archive",
    "tempfile.mktemp": "a name that another may take",
    "torch.hub.load": "runs a repository",
    "torch.jit.load": "runs a program in a file",
    "torch.package.PackageImporter": "runs a program in a file",
    "torch.save": "writes a pickle",
    "yaml.full_load": "makes objects of YAML",
    "yaml.full_load_all": "makes objects of YAML",
    "yaml.load": "makes objects of YAML",
    "yaml.load_all": "makes objects of YAML",
    "yaml.unsafe_load": "makes objects of YAML",
    "yaml.unsafe_load_all": "makes objects of YAML",
}
LIBRARIES = ("ctypes.CDLL", "ctypes.cdll.LoadLibrary", "ctypes.PyDLL", "torch.ops.load_library", "torch.classes.load_library")

LISTED = "the name is one of the files of the package"
OWN = "the names are written in this file"
TYPED = "what a user types names it, as a web server is told its app"
EXCEPTIONS = {
    ("benchmarks/__main__.py", "imports a name"): OWN,
    ("benchmarks/contest.py", "imports a name"): "the names are written in its contests",
    ("benchmarks/memory_process.py", "imports a name"): "the benchmark that started the process names itself",
    ("benchmarks/regressions/suite.py", "imports a name"): LISTED,
    ("benchmarks/reliability/__main__.py", "imports a name"): LISTED,
    ("benchmarks/reliability/page.py", "imports a name"): LISTED,
    ("benchmarks/reliability/worker.py", "imports a name"): "the process that started it names its own function",
    ("dasp/atoms/_library.py", "imports a name"): "the kernels name themselves",
    ("dasp/atoms/_library.py", "loads a library"): "our own, which is built with the package",
    ("dasp/blackbox.py", "imports a name"): "the key of a class of this process, which no file holds",
    ("dasp/effects/__init__.py", "imports a name"): LISTED,
    ("dasp/hosting.py", "loads a library"): "says what a plugin lacks that the user has asked to load",
    ("gradients/strategy.py", "imports a name"): LISTED,
    ("mixing/cli.py", "imports a name"): LISTED,
    ("mixing/__init__.py", "imports a name"): OWN,
    ("mixing/data/layouts/__init__.py", "imports a name"): LISTED,
    ("mixing/evaluation/__init__.py", "imports a name"): OWN,
    ("mixing/evaluation/embedding.py", "imports a name"): TYPED,
    ("mixing/export/dawproject.py", "XML"): "writes it",
    ("mixing/export/dawproject_read.py", "XML"): "elements and an error by name; defusedxml reads",
    ("mixing/models/__init__.py", "imports a name"): OWN,
    ("mixing/models/model.py", "imports a name"): LISTED,
    ("mixing/training/lightning.py", "torch.save writes a pickle"): "checkpoints of tensors and numbers, read with weights_only",
    ("proxies/network.py", "imports a name"): LISTED,
    ("proxies/teacher.py", "imports a name"): TYPED,
    ("tools/compat.py", "XML"): "reads what pytest wrote a moment ago",
    ("tools/fetch_plugins.py", "loads a library"): "says what a plugin that it fetched lacks",
    ("tools/website/api.py", "imports a name"): "the public names of the four packages",
    ("tools/website/figures.py", "imports a name"): LISTED,
}


def sources() -> dict[str, Path]:
    files = [f for folder in FOLDERS for f in sorted((ROOT / folder).rglob("*.py"))]
    names = {f.relative_to(ROOT).as_posix(): f for f in files}
    return {name: file for name, file in names.items() if not name.startswith(APART)}


def aliases(tree: ast.AST) -> dict[str, str]:
    """What the names of a module stand for: `np` for numpy, `run` for subprocess.run."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.asname: a.name for a in node.names if a.asname}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{a.name}" for a in node.names]
    return []


def under(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{p}.") for p in packages)


def dotted(node: ast.AST) -> str:
    """`a.b.c` as it is written; what is called on another expression begins with a point."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_true(call: ast.Call, keyword: str) -> bool:
    return any(k.arg == keyword and isinstance(k.value, ast.Constant) and k.value.value is True for k in call.keywords)


def is_set(call: ast.Call, keyword: str) -> bool:
    """Whether a keyword is given, and is not False."""
    return any(k.arg == keyword and not (isinstance(k.value, ast.Constant) and k.value.value is False) for k in call.keywords)


def complaints(source: str) -> set[str]:
    """What a module does that none should."""
    tree = ast.parse(source)
    known, wrong = aliases(tree), set()
    for node in ast.walk(tree):
        for name in imported(node):
            wrong |= {f"{name.split('.')[0]} makes objects"} if under(name, OBJECTS) else set()
            wrong |= {f"{name} asks the network"} if under(name, NETWORK) else set()
            wrong |= {"XML"} if under(name, MARKUP) else set()
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = dotted(node.func).partition(".")
        name = known.get(first, first) + dot + rest
        if name in CALLS:
            wrong.add(f"{name} {CALLS[name]}")
        if name == "torch.load" and not is_true(node, "weights_only"):
            wrong.add("torch.load without weights_only=True")
        if name.endswith(".load_state_dict_from_url") or is_set(node, "trust_repo"):
            wrong.add(f"{name} asks the network")
        if is_set(node, "allow_pickle"):
            wrong.add(f"{name} with allow_pickle")
        if is_set(node, "shell"):
            wrong.add(f"{name} with a shell")
        if name.endswith((".extractall", ".extract")):
            wrong.add(f"{name} unpacks an archive")
        if name in LIBRARIES:
            wrong.add("loads a library")
        if name in ("importlib.import_module", "__import__") and not isinstance(node.args[0], ast.Constant):
            wrong.add("imports a name")
    return wrong


@cache
def found() -> frozenset[tuple[str, str]]:
    """(file, what it does) of the whole toolkit."""
    return frozenset((name, what) for name, file in sources().items() for what in complaints(file.read_text(encoding="utf-8")))


def test_no_file_does_what_none_should():
    assert found() - EXCEPTIONS.keys() == set()


def test_every_exception_is_still_there():
    assert EXCEPTIONS.keys() - found() == set()
    assert all(EXCEPTIONS.values())


def test_every_part_is_walked():
    assert {name.split("/")[0] for name in sources()} == set(FOLDERS)
    assert len(sources()) > 250


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import pickle", "pickle makes objects"),
        ("def f():\n    from joblib import load", "joblib makes objects"),
        ("import urllib.request", "asks the network"),
        ("from http import client", "asks the network"),
        ("from xml.dom import minidom", "XML"),
        ("import xml.etree.ElementTree as ET", "XML"),
        ("eval('1')", "eval runs text"),
        ("exec(code)", "exec runs text"),
        ("from os import system\nsystem('x')", "os.system a shell"),
        ("import subprocess as s\ns.run('x', shell=True)", "subprocess.run with a shell"),
        ("import subprocess\nsubprocess.run('x', shell=asked)", "with a shell"),
        ("import yaml\nyaml.load(text, Loader=yaml.Loader)", "makes objects of YAML"),
        ("from yaml import unsafe_load as read\nread(text)", "makes objects of YAML"),
        ("import torch\ntorch.load(path)", "torch.load without"),
        ("import torch\ntorch.load(path, weights_only=False)", "torch.load without"),
        ("from torch import load\nload(path, weights_only=asked)", "torch.load without"),
        ("import torch\ntorch.save(x, path)", "writes a pickle"),
        ("import numpy as np\nnp.load(path, allow_pickle=True)", "numpy.load with allow_pickle"),
        ("archive.extractall(folder)", "unpacks an archive"),
        ("import shutil\nshutil.unpack_archive(path)", "unpacks an archive"),
        ("import tempfile\ntempfile.mktemp()", "another may take"),
        ("import ctypes\nctypes.CDLL(path)", "loads a library"),
        ("import importlib\nimportlib.import_module(name)", "imports a name"),
        ("from importlib import import_module as fetch\nfetch(f'a.{name}')", "imports a name"),
    ],
)
def test_a_fault_is_found(source, words):
    (complaint,) = complaints(source)
    assert words in complaint


@pytest.mark.parametrize(
    "source",
    [
        "import re, torch\nre.compile('x')\ntorch.compile(f)\nmodel.eval()",
        "import torch\ntorch.load(path, weights_only=True)",
        "import numpy as np\nnp.load(path)\nnp.load(path, allow_pickle=False)",
        "import subprocess\nsubprocess.run(['x'], shell=False)",
        "import yaml\nyaml.safe_load(text)",
        "import importlib\nimportlib.import_module('torch')",
        "from urllib.parse import urlsplit",
        "from defusedxml.ElementTree import fromstring",
        "from .pickle import x",
    ],
)
def test_what_is_right_passes(source):
    assert complaints(source) == set()

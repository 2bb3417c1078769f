"""Public docstrings say what a reader needs: every parameter, what comes back, and what is refused."""

import ast
import inspect
import re
import sys
import textwrap
from pathlib import Path

import pytest

from dasp.effects import registry

TOOLS = str(Path(__file__).resolve().parents[1] / "tools")
UNSAID = {"self", "cls", "args", "kwargs"}
# First words of docstrings that say what is done, and so not yet what comes back.
VERBS = "Check|Compare|Draw|Examine|Find|Fit|Load|Make|Measure|Process|Read|Run|Train|Turn|Write"


def public():
    """(name, object) of all on the pages of the reference, methods too, and of the effects' functions."""
    sys.path.insert(0, TOOLS)
    try:
        from website import api
    finally:
        sys.path.remove(TOOLS)
    for page in api.PAGES:
        for where, item in api.public(page):
            if callable(item) and not inspect.isclass(item) and not inspect.isfunction(item):
                continue  # a name for a type, as Fn
            yield where, item
            if inspect.isclass(item):
                yield from ((f"{where}.{name}", member) for name, member in api.methods(item).items())
    for name, cls in registry().items():
        yield f"{name}.dsp", cls.dsp


PUBLIC = dict(public())


def unwrapped(item):
    """The function behind a static or class method or a property."""
    if isinstance(item, property):
        return item.fget
    return getattr(item, "__func__", item)


def raised(item) -> set[str]:
    """Names of the exceptions that a function raises itself, with arguments, so that users may meet them."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(item)))
    calls = [n.exc for n in ast.walk(tree) if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)]
    return {ast.unparse(call.func) for call in calls} - {"NotImplementedError", "AssertionError", "AttributeError"}


def faults(name: str, item) -> list[str]:
    """What a docstring lacks."""
    text = inspect.getdoc(item) or ""  # a base class's where there is no other
    item = unwrapped(item)
    if not (inspect.isclass(item) or inspect.isfunction(item)):
        return []  # a constant: its comment is in the source
    if not text:
        return ["no docstring"]
    found = []
    if inspect.isclass(item):
        parameters = list(inspect.signature(item.__init__).parameters) if "__init__" in vars(item) else []
        said = text + (inspect.getdoc(vars(item)["__init__"]) or "" if parameters else "")
    else:
        parameters, said = list(inspect.signature(item).parameters), text
    lacking = [p for p in parameters if p not in UNSAID and not p.startswith("_") and not named(p, said)]
    # One that takes a single thing may say in a sentence what it does with it.
    if len([p for p in parameters if p not in UNSAID]) > 1 and lacking:
        found.append(f"does not say what {', '.join(lacking)} is")
    if inspect.isfunction(item):
        errors = raised(item)
        if errors and not re.search(r"^Raises:|\b[Rr]efuse", said, re.MULTILINE):
            found.append(f"does not say that it raises {', '.join(sorted(errors))}")
        if re.search(r"^Args:", said, re.MULTILINE) and "return" in item.__annotations__ and not comes_back(item, said):
            found.append("does not say what it returns")
    return found


def named(parameter: str, text: str) -> bool:
    """Whether a text names a parameter: itself, or a group of them (`low_*`, "band1_gain_db to band12_decay_s")."""
    if re.search(rf"(?<!\w){re.escape(parameter)}(?!\w)", text):
        return True
    stems = re.findall(r"(\w+_)\*", text) + re.findall(r"([a-z]\w*?)_?\d\w*\*? to \w", text)
    return any(parameter.startswith(stem) for stem in stems)


def comes_back(item, text: str) -> bool:
    """Whether a text says what a function gives: in a section, by an arrow or an equation, or by naming it first."""
    if item.__annotations__["return"] in (None, "None") or re.search(r"^Returns:|^Yields:", text, re.MULTILINE):
        return True
    first = text.split("\n\n")[0]
    return "->" in first or " = " in first or not re.match(rf"(?:{VERBS})\b", first)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_docstring_is_whole(name):
    assert faults(name, PUBLIC[name]) == []


@pytest.mark.parametrize("name", registry())
def test_an_effects_function_says_shapes_and_its_class_what_it_does(name):
    """Units and ranges are in the table, which `Param` checks and each class's docstring shows."""
    cls = registry()[name]
    assert re.search(r"\bx: .*\(B, ", inspect.getdoc(cls.dsp))
    assert re.search(r"sample_rate: in Hz", inspect.getdoc(cls.dsp))
    assert all(q.name in inspect.getdoc(cls) and q.doc for q in cls.controls)


def test_the_check_sees_what_is_missing():
    def silent(x, level_db):
        raise ValueError(f"{x}")

    def bare(x, level_db):
        """Do it."""
        raise ValueError(f"{x}")

    def whole(x, level_db) -> float:
        """Turn a signal up.

        Args:
            x: audio (B, C, T).
            level_db: in dB.

        Returns:
            audio (B, C, T).

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{x}")

    assert faults("silent", silent) == ["no docstring"]
    assert faults("bare", bare) == ["does not say what x, level_db is", "does not say that it raises ValueError"]
    assert faults("whole", whole) == []

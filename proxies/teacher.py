"""What a proxy learns from: any function of audio and controls, by its import path."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

Fn = Callable[[Tensor, Tensor], Tensor]
"""(audio (B, C, T), controls (B, P) or (B, P, frames) in [0, 1]) -> audio (B, C', T)."""

PLUGINS = {".vst3": "dasp:external", ".component": "dasp:external"}
"""A file's ending -> the import path of what makes an effect of it, called as f(path, sample_rate)."""


class Control(Protocol):
    """A row of a table of controls; dasp's Param is one."""

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def scale(self) -> str: ...


@dataclass(frozen=True)
class Teacher:
    """A function to imitate.

    Attributes:
        name: of the effect, "Compressor".
        path: import path that makes it again, "dasp:Compressor".
        controls: its table, in the order of the controls.
        sample_rate: in Hz.
        static: why controls cannot vary in time; empty if they can.
        blackbox: the real thing, which is imitated; it may run threads of its own and need not be seen by autograd.
        whitebox: the same as differentiable code, where there is one.
        channels: numbers of input channels that it takes; None: any.
        links_channels: whether one channel's sound depends on another's.
    """

    name: str
    path: str
    controls: tuple[Control, ...]
    sample_rate: float
    static: str
    blackbox: Fn
    whitebox: Fn | None = None
    channels: tuple[int, ...] | None = None
    links_channels: bool = False


def teacher(path: str, sample_rate: float = 44100) -> Teacher:
    """The teacher behind an import path. The path is imported and called: never take it from a file that you do not trust.

    Args:
        path: one of
            "module:name": an effect (anything with a table `controls` and a method `target()`, whose result has the functions
            `blackbox` and, where known, `whitebox`), its class, or a function of audio and controls with an attribute `controls`;
            "module:name('argument', key=value)": a call that returns one of these; its arguments are literals, or such calls of
            the same module's names: "dasp:Chain(Gain(), Compressor())";
            a plugin's file, ending in .vst3 or .component.
        sample_rate: in Hz, given to every class and factory that takes a `sample_rate`.

    Raises:
        ValueError: not such a path, no such module or name (the message has the nearest), or what it names is no teacher.
    """
    found = made(path, sample_rate)
    table = getattr(found, "controls", None)
    if table is None or isinstance(found, type) or not (hasattr(found, "target") or callable(found)):
        raise ValueError(
            f"teacher: {path} is {_kind(found)} without controls and target(); expected an effect, its class, or a function of "
            "(audio, controls in [0, 1]) with an attribute `controls`, the table of (name, unit, low, high, scale)."
        )
    name = str(getattr(found, "name", None) or getattr(found, "__name__", None) or type(found).__name__)
    blackbox, whitebox = _views(found, path)
    return Teacher(
        name,
        path,
        tuple(table),
        float(getattr(found, "sample_rate", sample_rate)),
        str(getattr(found, "static", "")),
        blackbox,
        whitebox,
        getattr(found, "channels", None),
        bool(getattr(found, "links_channels", False)),
    )


def made(path: str, sample_rate: float = 44100) -> Any:
    """The object that an import path names, as `teacher` reads paths; a class with a table is made into an instance."""
    for ending, maker in PLUGINS.items():
        if path.lower().rstrip("/").endswith(ending):
            return _found(maker, maker)(path, sample_rate)
    module, colon, expression = path.partition(":")
    if not (module and colon and expression):
        raise ValueError(
            f"teacher: expected an import path such as dasp:Compressor, or a plugin's file ending in {' or '.join(PLUGINS)}; "
            f"got {path!r}."
        )
    try:
        node = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"teacher: {path!r} is not an import path: {error.msg}.") from None
    found = _evaluated(node, module, path, sample_rate)
    if isinstance(found, type) and hasattr(found, "controls"):
        return _called(found, [], {}, sample_rate)
    return found


def _evaluated(node: ast.expr, module: str, path: str, sample_rate: float) -> Any:
    if isinstance(node, ast.Name | ast.Attribute):
        return _found(f"{module}:{ast.unparse(node)}", path)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
        arguments = [_evaluated(a, module, path, sample_rate) for a in node.args]
        named = {k.arg: _evaluated(k.value, module, path, sample_rate) for k in node.keywords if k.arg is not None}
        if len(named) == len(node.keywords):
            return _called(_found(f"{module}:{ast.unparse(node.func)}", path), arguments, named, sample_rate)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(
            f"teacher: {ast.unparse(node)!r} in {path!r} is neither a literal nor a name of {module} nor a call of one."
        ) from None


def _found(path: str, asked: str) -> Any:
    """The object at "module:a.b"."""
    module, _, names = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and lacks something itself
        raise ValueError(f"teacher: no module {module!r} (of {asked!r}) can be imported from here.") from None
    for name in names.split("."):
        if not hasattr(found, name):
            near = difflib.get_close_matches(name, dir(found), n=1)
            raise ValueError(f"teacher: {module} has no {names!r}.{f' Did you mean {near[0]!r}?' if near else ''}")
        found = getattr(found, name)
    return found


def _called(function: Callable[..., Any], arguments: Sequence[Any], named: dict[str, Any], sample_rate: float) -> Any:
    try:
        parameters = list(inspect.signature(function).parameters)
    except ValueError:
        parameters = []
    if "sample_rate" in parameters[len(arguments) :] and "sample_rate" not in named:
        named = {**named, "sample_rate": sample_rate}
    return function(*arguments, **named)


def _views(found: Any, path: str) -> tuple[Fn, Fn | None]:
    """Its black box and its white box as functions of audio and controls alone."""
    if not hasattr(found, "target"):
        return found, None
    target = found.target()
    extra = getattr(found, "extra", None)

    def whole(view: Callable[..., Tensor]) -> Fn:
        """With the effect's own further inputs, such as an impulse response."""
        return lambda x, u: view(x, u, **(extra(x) if extra else {}))

    white = None if target.whitebox is None else whole(target.whitebox)
    black = white if target.blackbox is None else whole(target.blackbox)
    if black is None:
        raise ValueError(f"teacher: the target of {path} has neither a blackbox nor a whitebox.")
    return black, white


def _kind(found: Any) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"

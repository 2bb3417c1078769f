"""What a learned mixer is: built from its name and settings, kept in a file, and found by what a user types."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from mixing.errors import UserError, nearest
from mixing.mixers import Mix, Mixer
from mixing.models import header as headers
from mixing.models import kinds, names
from mixing.multitrack import Multitrack
from proxies import store
from proxies.store import SUFFIX

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT = "dmc-full"
"""The model of `dasp mix` where none is named."""


class Model(nn.Module):
    """A mixer that is learned: Multitrack -> Mix.

    A file of this package that defines one subclass is a kind of model, and its name is the kind. The subclass has a constructor
    whose arguments JSON can hold, which begins with `super().__init__(locals())` and runs on torch's meta device as well (`load`
    tries a file's settings there first), and a `forward`. Permuting tracks, or padding tracks of a batch, may not change the mix
    more than its docstring says.

    Attributes:
        kind: the file's name.
        settings: the constructor's arguments, all of them; `build(kind, **settings)` makes the model again, with new weights.
        sample_rate: in Hz, of the multitracks that it takes.
        header: what `load` read beside the weights (see `mixing.models.header`); None for a model that was not loaded.
    """

    kind: ClassVar[str]
    settings: dict[str, Any]
    sample_rate: float
    header: dict[str, Any] | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.__module__.rpartition(".")[2]

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        arguments = {key: value for key, value in arguments.items() if key not in ("self", "__class__", "name")}
        self.settings = json.loads(json.dumps(arguments, allow_nan=False))
        self.sample_rate = float(self.settings["sample_rate"])
        if not 0 < self.sample_rate <= 1e6:
            raise ValueError(f"{self.name}: sample_rate is in Hz, above 0; got {self.sample_rate}.")

    @property
    def name(self) -> str:
        """The class's name, as error messages have it."""
        return type(self).__name__

    @property
    def description(self) -> dict[str, Any]:
        """What a header says of the model: `build(**model.description)` makes it again, with new weights."""
        return {"kind": self.kind, **self.settings}

    @property
    def size(self) -> int:
        """The number of trainable parameters."""
        return sum(p.numel() for p in self.parameters())

    def at_least(self, low: int, *settings: str) -> None:
        """Check settings that are sizes, or lists of sizes.

        Raises:
            ValueError: one is not an integer of at least `low`.
        """
        for setting in settings:
            value = self.settings[setting]
            for size in value if isinstance(value, list) and value else [value]:
                if type(size) is not int or size < low:
                    raise ValueError(f"{self.name}: {setting} must be an integer of at least {low}; got {value!r:.100}.")

    def one_of(self, known: tuple[str, ...], setting: str) -> None:
        """Check a setting that is one of the `known` words.

        Raises:
            ValueError: an unknown one; the message has the nearest.
        """
        value = self.settings[setting]
        if value not in known:
            hint = nearest(str(value), known)
            raise ValueError(f"{self.name}: {setting} is one of {', '.join(known)}; got {value!r:.100}.{hint}")

    def check(self, multitrack: Multitrack) -> None:
        """Refuse a multitrack of another sample rate.

        Raises:
            ValueError: it is of another rate; the message says what to do.
        """
        if multitrack.sample_rate != self.sample_rate:
            raise ValueError(
                f"{self.name}: takes multitracks at {self.sample_rate:g} Hz; got {multitrack.sample_rate:g} Hz. Read the stems "
                f"with sample_rate={self.sample_rate:g}."
            )

    def forward(self, multitrack: Multitrack) -> Mix:
        """Mix a batch of songs: audio (B, 2, T)."""
        raise NotImplementedError


def build(kind: str, **settings: Any) -> Model:
    """`build("dmc", strip="full")` -> a model of module `mixing.models.dmc` with new weights.

    Args:
        kind: a module of this package that defines a learned model.
        settings: the arguments of its constructor.

    Raises:
        ValueError: an unknown kind; the message has the nearest and all of them. Or what the constructor refuses.
    """
    known = kinds()
    if kind not in known:
        raise ValueError(f"build: no kind of model {kind!r:.100}; there are {', '.join(known)}.{nearest(str(kind), known)}")
    return _class_of(kind, Model)(**settings)


def save(path: str | os.PathLike, model: Model, header: Mapping[str, Any], *, half: bool = False) -> None:
    """Write a model's weights and what they were trained on, whole or not at all.

    Args:
        path: of the file; by convention it ends in .safetensors. One that exists is replaced.
        model: stored as float32.
        header: `data`, `licence`, `command`, `seed`, `scores`: see `mixing.models.header.checked`. Its `model` is the model's.
        half: store the weights as float16, half the size; they are float32 again once loaded.

    Raises:
        ValueError: the header is not one, or a weight is not finite (in float16, where asked for).
    """
    text = headers.to_json(headers.checked({**header, "model": model.description}))
    store.write(Path(path), model.state_dict(), text, half=half)


def load(name_or_path: str | os.PathLike) -> Model:
    """Read a model: `load("dmc-gain-pan")` is one that is shipped, `load("mine.safetensors")` a file.

    Returns:
        the model on the CPU, in float32, in evaluation mode, with `.header`.

    Raises:
        UserError: no such file or shipped model (the message has the nearest), or a file that is damaged or none of ours. Such a
            file is refused before memory is taken for what it claims to be, and nothing in it is ever executed.
    """
    path = _found(os.fspath(name_or_path))
    try:
        header, model, state = store.read(path, _header, lambda h: build(**h["model"]))
        model.load_state_dict(state)
    except (ValueError, OSError) as error:
        raise UserError(f"{path}: not a model that can be loaded: {error}") from error
    model.header = header
    return model.eval()


def _header(text: str) -> dict[str, Any]:
    """A file's header. Its kind of model is imported here: what follows runs on torch's meta device, where modules that make
    tensors while they are imported fail."""
    header = headers.from_json(text)
    kind = header["model"].get("kind")
    if kind in kinds():
        _class_of(kind, Model)
    return header


def shipped() -> tuple[str, ...]:
    """Names of the models that came with the package."""
    return tuple(sorted(path.stem for path in WEIGHTS.glob(f"*{SUFFIX}")))


def mixer(name_or_path: str | os.PathLike, **options: Any) -> Mixer:
    """What a user types -> a mixer: a rule (`sum`, `random`), a shipped model (`dmc-gain-pan`), a kind of model (`dmc`: the one
    shipped of it, the default model before others), or a file of weights.

    Args:
        name_or_path: see above; hyphens and underscores are the same.
        options: of a rule, such as `seed` of `random`; a learned model takes none.

    Raises:
        UserError: nothing has this name, or no weights are shipped for this kind; the message has the nearest, or what to do.
    """
    text = os.fspath(name_or_path)
    name = text.replace("-", "_")
    if name in names() and name not in kinds():
        from mixing.models.baseline import Baseline

        try:
            return _class_of(name, Baseline)(**options)
        except TypeError as error:
            raise UserError(f"{text}: {error}.") from None
    if options:
        raise UserError(f"{text}: takes no {', '.join(options)}; only rules have options.")
    if name in kinds():
        own = sorted((s for s in shipped() if s.replace("-", "_").startswith(name)), key=lambda s: (s != DEFAULT, s))
        if not own:
            raise UserError(f"{text}: no weights of this kind are shipped; train some, and give their file.")
        text = own[0]
    return load(text)


def about(mixer: Any) -> str:
    """One sentence on a mixer: what it is, and what it was trained on."""
    if not isinstance(mixer, Model):
        return (type(mixer).__doc__ or "").split("\n")[0].rstrip(".")
    what = f"{mixer.name}, {mixer.size:,} parameters"
    if mixer.header is None:
        return f"{what}, not trained"
    data = "; ".join(f"{entry['name']} ({entry['licence']})" for entry in mixer.header["data"])
    return f"{what}, trained on {data or 'nothing that its file names'}"


def _class_of(name: str, base: type) -> Any:
    module = importlib.import_module(f"mixing.models.{name}")
    (cls,) = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, base) and c.__module__ == module.__name__]
    return cls


def _found(text: str) -> Path:
    if Path(text).name == text and not text.endswith(SUFFIX):
        known = {*shipped(), *names()}
        path = WEIGHTS / f"{text}{SUFFIX}"
        if not path.is_file():
            have = ", ".join(sorted(known))
            raise UserError(f"no model {text!r:.100}; there are {have}, and files that end in {SUFFIX}.{nearest(text, known)}")
        return path
    path = Path(text)
    if not path.is_file():
        raise UserError(f"{text}: {'is a folder' if path.is_dir() else 'there is no such file'}; give a file of weights.")
    return path

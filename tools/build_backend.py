"""The build backend: scikit-build-core, and where the machine has no C++ compiler, the one in the `ziglang` wheel.

So that `pip install` needs nothing but pip. Where neither can be had the package installs without its kernels and says so.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from typing import Any

from scikit_build_core import build as _backend

_COMPILERS = ("c++", "g++", "clang++")


def _has_compiler() -> bool:
    return "CXX" in os.environ or any(map(shutil.which, _COMPILERS))


def _requirements(hook: Callable[..., list[str]], settings: Any) -> list[str]:
    return hook(settings) + ([] if _has_compiler() else ["ziglang>=0.13"])


def _build(hook: Callable[..., str], *args: Any) -> str:
    if not _has_compiler() and importlib.util.find_spec("ziglang"):
        os.environ["CXX"] = f"{sys.executable} -m ziglang c++"
    return hook(*args)


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    return _requirements(_backend.get_requires_for_build_wheel, config_settings)


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    return _requirements(_backend.get_requires_for_build_editable, config_settings)


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:
    return _backend.get_requires_for_build_sdist(config_settings)


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    return _build(_backend.build_wheel, wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    return _build(_backend.build_editable, wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    return _backend.build_sdist(sdist_directory, config_settings)

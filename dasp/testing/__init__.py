"""`check_effect`: the public conformance suite of effects. Each check answers a defect that a published library has.

    import pytest
    from dasp.testing import CHECKS, check_effect

    @pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
    def test_my_effect(check):
        check(MyEffect)

A check takes the effect's class (or a function that makes one, given the arguments of Effect's constructor) and raises
AssertionError with the figure that is off.
"""

from __future__ import annotations

from collections.abc import Callable

from dasp.testing.derivatives import (
    check_controls_alive,
    check_finite,
    check_float32_gradient,
    check_gradients,
)
from dasp.testing.interface import (
    check_compile,
    check_copies,
    check_messages,
    check_table,
    check_transforms,
)
from dasp.testing.signals import Make, draw, music
from dasp.testing.sound import (
    check_acts,
    check_blackbox,
    check_dual_mono,
    check_frames,
    check_pure,
    check_rate,
    check_shapes,
    check_sidechain,
    check_streaming,
)

__all__ = ["CHECKS", "check_effect", "draw", "music"]


def check_effect(make: Make) -> list[str]:
    """Run every check on an effect.

    Args:
        make: the effect's class, or a function with its constructor's arguments.

    Returns:
        the names of the checks that applied and passed.

    Raises:
        AssertionError: the first check that failed.
    """
    return [check.__name__ for check in CHECKS if check(make) is not False]


CHECKS: tuple[Callable[[Make], bool | None], ...] = (
    check_table,
    check_acts,
    check_controls_alive,
    check_finite,
    check_gradients,
    check_float32_gradient,
    check_shapes,
    check_dual_mono,
    check_pure,
    check_rate,
    check_streaming,
    check_frames,
    check_transforms,
    check_compile,
    check_copies,
    check_messages,
    check_sidechain,
    check_blackbox,
)

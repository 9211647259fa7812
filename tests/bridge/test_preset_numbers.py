"""The numbers that the panel shows for a preset are the engine's."""

from __future__ import annotations

import pytest

pytest.importorskip("numba")

from bridge.solve.settings import PRESETS  # noqa: E402
from skullptor_blender.link import preset_numbers  # noqa: E402


@pytest.mark.parametrize("preset", PRESETS)
def test_the_panel_shows_the_engines_numbers(preset):
    shown = preset_numbers.NUMBERS[preset]
    assert shown == {name: getattr(PRESETS[preset], name) for name in shown}
    assert set(preset_numbers.NUMBERS) == set(PRESETS)

"""What several tests share: places, and a small synthetic capture with known ground truth."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def shared(*parts: str) -> Path:
    """A path in the team's shared folder; skips the test where it is absent."""
    root = Path(os.environ.get("SKULLPTOR_SHARED", ROOT.parent / "shared"))
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the shared folder lacks {'/'.join(parts)}")
    return path

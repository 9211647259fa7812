"""What the engine makes of a preset where the artist gives no number of his own. A test holds them to the engine's."""

from __future__ import annotations

NUMBERS: dict[str, dict[str, int]] = {
    "draft": {"max_vertices": 25_000, "steps": 200},
    "standard": {"max_vertices": 100_000, "steps": 200},
    "fine": {"max_vertices": 500_000, "steps": 300},
}
SMOOTHNESS = {"measured": 0.05}
USUAL_SMOOTHNESS = 0.2


def number(name: str, preset: str, normals: str) -> str:
    """A preset's max_vertices, steps or smoothness as the panel shows it: "25,000", "0.2"."""
    if name == "smoothness":
        return f"{SMOOTHNESS.get(normals, USUAL_SMOOTHNESS):g}"
    return f"{NUMBERS[preset][name]:,}"

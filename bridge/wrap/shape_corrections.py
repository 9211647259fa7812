"""What keeps the lips and lids of templates' shapes apart, measured once (untangle.py).

    python -m bridge.wrap.shape_corrections hm08 ict

writes bridge/model/corrections/NAME.npz. Deformation transfer then carries shapes to a person that hardly cross there.
"""

from __future__ import annotations

import sys

import numpy as np

from ..model.load import load_template
from ..model.measured import corrections, keep_corrections
from .regions import find_regions
from .untangle import Effort, untangled

EFFORT = Effort(rounds=4, margin=0.1, tries=(1, 4, 8))  # a margin so that little crosses on other faces


def main(names: list[str]) -> int:
    """Measure the corrections of some templates and write them into the package."""
    for name in names:
        template = load_template(name)
        own = template.expressions.astype(np.float64)
        if (before := corrections(template)) is not None:
            own -= before
        change = untangled(template, find_regions(template), template.vertices, own, EFFORT) - own
        path = keep_corrections(template, change)
        print(f"{name}: at most {np.linalg.norm(change, axis=2).max():.2f} mm, {path.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Stage 2: the mesh whose rendered normals match the target maps (paper Sec. 3.2). Knows no files and no jobs.

solver = Solver(targets, SolveSettings.preset("draft"))
for progress in solver:        # one step each; leave the loop at any time
    ...                        # solver.mesh() is a valid closed mesh at any moment (a preview)
mesh = solver.finish()         # final clean-up, world coordinates
seen = coverage(mesh, targets) # per-vertex view count and confidence
"""

from __future__ import annotations

from bridge.mesh import Mesh

from .coverage import Coverage, coverage
from .settings import SolveSettings
from .solver import Progress, Solver
from .targets import Target
from .untangle import untangled
from .warm import warm_up

__all__ = ["Coverage", "Mesh", "Progress", "SolveSettings", "Solver", "Target", "coverage", "untangled", "warm_up"]

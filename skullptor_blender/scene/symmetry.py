"""The mirror plane of a head: where mirrored sculpting has to have its X = 0.

Iterative closest points between a cloud and its own reflection; the plane of each step in closed form (Combès et al.,
Automatic symmetry plane estimation of bilateral objects in point clouds, CVPR 2008).
"""

from __future__ import annotations

import numpy as np
from mathutils.kdtree import KDTree

POINTS, DENSE = 500, 20_000  # that are mirrored, and among which their mates are looked for
STEPS = 120
TRIM = 0.9  # share of the pairs that are believed: hair and clothes are not symmetric
TURNS = np.radians((-24, -12, 0, 12, 24))  # about up: where the search begins
FAR = np.radians(40.0)  # a plane that is turned further from X than this was not found


def plane(vertices: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, float] | None:
    """(normal [3], distance) with normal @ x = distance on the plane, the normal towards +X; None when none was found.

    vertices [V, 3]: of the head, without its shoulders; up [3] unit.
    """
    points = np.asarray(vertices, np.float64)
    if len(points) < 50:
        return None
    dense = points[:: -(-len(points) // DENSE)]
    tree = KDTree(len(dense))
    for index, point in enumerate(dense):
        tree.insert(point, index)
    tree.balance()
    points = points[np.random.default_rng(0).choice(len(points), min(POINTS, len(points)), replace=False)]
    side = np.array([1.0, 0.0, 0.0]) - up * up[0]
    if np.linalg.norm(side) < 0.5:
        return None
    side /= np.linalg.norm(side)
    front = np.cross(up, side)
    best = min(
        (_settle(points, dense, tree, np.cos(turn) * side + np.sin(turn) * front, 6) for turn in TURNS),
        key=lambda found: found[2],
    )
    normal, distance, _ = _settle(points, dense, tree, best[0], STEPS, distance=best[1])
    if normal @ side < 0:
        normal, distance = -normal, -distance
    return (normal, float(distance)) if normal @ side > np.cos(FAR) else None


def _settle(
    points: np.ndarray,
    dense: np.ndarray,
    tree: KDTree,
    normal: np.ndarray,
    steps: int,
    *,
    distance: float | None = None,
) -> tuple[np.ndarray, float, float]:
    """Normal, distance and mean error after so many steps."""
    distance = float(np.median(points @ normal)) if distance is None else distance
    error = np.inf
    for _ in range(steps):
        mirrored = points - 2 * np.outer(points @ normal - distance, normal)
        mates = [tree.find(point) for point in mirrored]
        nearest, gap = np.array([mate[1] for mate in mates]), np.array([mate[2] for mate in mates])
        kept = gap <= np.quantile(gap, TRIM)
        error = float(gap[kept].mean())
        a, b = points[kept], dense[nearest[kept]]
        middle = (a.mean(0) + b.mean(0)) / 2
        plus, minus = a + b - 2 * middle, a - b
        _, directions = np.linalg.eigh(plus.T @ plus - minus.T @ minus)
        found = directions[:, 0] * np.sign(directions[:, 0] @ normal or 1.0)
        shift, normal = float(np.linalg.norm(found - normal)), found
        distance = float(normal @ middle)
        if shift < 1e-7:
            break
    return normal, distance, error

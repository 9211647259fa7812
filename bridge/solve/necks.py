"""What hangs on the rest of a surface by three edges only is cut off: a thread that no smoothing can sort out.

Collapses leave such a neck, for it would pinch (the link condition), and each round of smoothing makes it thinner,
until its faces cross by rounding alone.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from ..mesh import Surface
from ..mesh.topology import next_half_edge, previous_half_edge

next_half_edge, previous_half_edge = next_half_edge.py_func, previous_half_edge.py_func  # type: ignore[assignment]
LARGEST_CUT = 0.05  # share of the faces that may be cut off at one neck


def cut_necks(surface: Surface, tangled: np.ndarray) -> Surface | None:
    """The surface without what hangs on necks at the tangled faces [F] bool; None if there is none.

    The neck is closed by one face, so the surface stays closed and manifold. Of necks along one thread the one that
    cuts off most is taken. Vertices that no face uses any more are dropped, the others keep their order.
    """
    faces = surface.faces
    near = np.unique(faces[np.isin(faces, faces[tangled]).any(1)])  # and a ring around: a neck is seldom all tangled
    found = [cut for neck in _necks(surface, near) if (cut := _smaller_side(surface, *neck))]
    removed: set[int] = set()
    caps = []
    for side, cap in sorted(found, key=lambda cut: (-len(cut[0]), cut[1])):
        if removed.isdisjoint(side):
            removed |= side
            caps.append(cap)
    if not caps:
        return None
    kept = np.ones(len(faces), bool)
    kept[list(removed)] = False
    faces = np.concatenate([faces[kept], np.array(caps, np.int32)])
    used, faces = np.unique(faces, return_inverse=True)
    closed = Surface.of(surface.vertices[used], faces.reshape(-1, 3))
    return closed.moved(surface.vertices[used])


def _necks(surface: Surface, vertices: np.ndarray) -> list[tuple[int, int, int]]:
    """Half-edges that run around a triangle which is no face, each triangle once, through the given vertices."""
    rings = {int(v): _ring(surface, int(v)) for v in vertices}
    necks = []
    for a, ring in rings.items():
        for b, h in ring.items():
            if b not in rings or b < a:
                continue
            beside = surface.faces.reshape(-1)[[previous_half_edge(h), previous_half_edge(int(surface.twin[h]))]]
            for c in rings[b].keys() & ring.keys() - set(beside.tolist()):
                if c > b and c in rings:
                    necks.append((h, rings[b][c], rings[c][a]))
    return necks


def _ring(surface: Surface, vertex: int) -> dict[int, int]:
    """Neighbour -> half-edge to it."""
    ring, h = {}, int(surface.outgoing[vertex])
    while True:
        ring[int(surface.faces.reshape(-1)[next_half_edge(h)])] = h
        h = int(surface.twin[previous_half_edge(h)])
        if h == surface.outgoing[vertex]:
            return ring


def _smaller_side(surface: Surface, *neck: int) -> tuple[set[int], tuple[int, ...]] | None:
    """The faces on the smaller side of three half-edges in a row and the face that takes their place.

    None where both sides are large, or are one (the neck is a handle's).
    """
    start = surface.faces.reshape(-1)
    back = tuple(int(surface.twin[h]) for h in reversed(neck))
    for cycle in (neck, back):
        side = _flood(surface, cycle, LARGEST_CUT * len(surface.faces))
        if side is not None:
            return side, tuple(int(start[h]) for h in cycle)
    return None


def _flood(surface: Surface, cycle: tuple[int, ...], most: float) -> set[int] | None:
    """Faces reached from those of the cycle's half-edges without crossing it; None if there are more than that."""
    side = {h // 3 for h in cycle}
    waiting = deque(side)
    while waiting:
        f = waiting.popleft()
        for h in range(3 * f, 3 * f + 3):
            if h not in cycle and (g := int(surface.twin[h]) // 3) not in side:
                side.add(g)
                waiting.append(g)
        if len(side) > most:
            return None
    return side

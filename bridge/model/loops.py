"""Edge loops of quad meshes: where a head can be cut from a body without cutting through a face."""

from __future__ import annotations

import numpy as np


def edge_loop(faces: np.ndarray, first: int, second: int) -> list[int]:  # [F, 4]
    """The closed loop that starts with the edge first -> second and goes straight on at every vertex of four edges.

    Raises ValueError where it ends before it closes.
    """
    around: dict[int, list[int]] = {}
    for number, face in enumerate(faces.tolist()):
        for vertex in face:
            around.setdefault(vertex, []).append(number)
    loop = [first, second]
    while True:
        before, here = loop[-2:]
        beside = {v for f in around[here] if before in faces[f] for v in faces[f].tolist()}
        ahead = {v for f in around[here] for v in _next_to(faces[f].tolist(), here)} - beside
        if len(ahead) != 1 or len(loop) > len(around):
            raise ValueError(f"the edge loop of {first}, {second} does not close")
        following = ahead.pop()
        if following == first:
            return loop
        loop.append(following)


def _next_to(face: list[int], vertex: int) -> tuple[int, int]:
    place = face.index(vertex)
    return face[place - 1], face[(place + 1) % len(face)]


def beyond(faces: np.ndarray, loop: list[int], seed: int, count: int) -> np.ndarray:  # [count] bool
    """The vertices that can be reached from seed along edges without crossing the loop, the loop among them."""
    wall = np.zeros(count, bool)
    wall[loop] = True
    edges = np.concatenate([faces[:, [k, (k + 1) % faces.shape[1]]] for k in range(faces.shape[1])])
    edges = np.concatenate([edges, edges[:, ::-1]])
    edges = edges[~wall[edges[:, 0]]]
    reached = np.zeros(count, bool)
    reached[seed] = True
    while True:
        grown = reached.copy()
        grown[edges[reached[edges[:, 0]], 1]] = True
        if (grown == reached).all():
            return reached
        reached = grown

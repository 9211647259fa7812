"""The last touches on a solved surface: what no view saw closes smoothly, faces that cross are pulled apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ..errors import Check, unchecked
from ..mesh import Surface
from ..mesh.boxtree import BoxTree
from ..mesh.intersections import crossing_faces, intersecting_faces
from ..mesh.normals import vertex_normals
from .necks import cut_necks
from .smoothing import around, smooth

UNSEEN_ROUNDS = 60  # smoothing steps of unseen regions: carries about 8 rings
UNSEEN_SHARE = 0.05  # a vertex seen in a smaller share of the last steps counts as unseen
UNTANGLE_ROUNDS = 100  # nearly all heads are sound after 5 to 20
RINGS_EVERY = 4  # attempts at one place after which the neighbourhood that is smoothed there grows by a ring
MOST_RINGS = 6
USUAL_VERTICES = 100_000  # up to here rings count as they are; of a finer mesh so many more that they reach as far
PLAIN_ATTEMPTS = 8  # at one place, before it is also tried swollen and shrunk
PUSHES = (0.3, -0.3, 1.0, -1.0)  # of the local edge length, outward
LEASHES = (5.0, 15.0, 45.0)  # local edge lengths that a vertex may move; longer only when the shorter does not do
TANGLED = 0.01  # share of the faces; if more still cross after the plain attempts, no better is to be had
PATIENCE = 15  # attempts without fewer crossing faces after which a leash has done what it can


def clean_up(surface: Surface, seen: np.ndarray, check: Check = unchecked) -> tuple[np.ndarray, np.ndarray]:
    """Cleaned positions [V, 3] float64 and faces [F, 3]; seen as in close_unseen. Threads that stay tangled are cut."""
    surface = surface.moved(surface.vertices.astype(np.float64))
    close_unseen(surface, seen)
    check()
    while untangle(surface, check):
        shorter = cut_necks(surface, intersecting_faces(surface.vertices, surface.faces))
        if shorter is None:
            break
        surface = shorter
    return surface.vertices, surface.faces


def close_unseen(surface: Surface, seen: np.ndarray) -> None:
    """Smooths what no view saw, in place; seen [V] = share of the last steps in which a view saw the vertex."""
    unseen = seen < UNSEEN_SHARE
    if unseen.any() and not unseen.all():
        smooth(surface, around(np.where(unseen, 1, -1).astype(np.int32), surface), UNSEEN_ROUNDS)


def untangle(surface: Surface, check: Check = unchecked) -> int:
    """Pulls faces that cross apart, in place (float64 vertices), and returns how many still cross.

    Each tangle is smoothed, in a neighbourhood that grows while that does not help. Smoothing alone makes a thin part
    (a fin, an ear's rim) only thinner, so where it has failed for a while the neighbourhood is also tried swollen (for
    a thin part whose sides have passed each other) and shrunk (for a gap that has closed); of all these, what leaves
    the fewest crossing faces there is kept. Vertices move no further than the longest of LEASHES, and a surface that is
    one great tangle keeps its shape, and what still crosses.
    """
    vertices, faces = surface.vertices, surface.faces
    tree = BoxTree.of(vertices, faces)
    crossing = crossing_faces(vertices, faces, tree)
    attempts = np.zeros(len(vertices), np.int32)
    origin, edge = vertices.copy(), None
    finer = max(1, round((len(vertices) / USUAL_VERTICES) ** 0.5))
    best, fewest, since, leash = None, int(crossing.sum()), 0, 0
    for attempt in range(UNTANGLE_ROUNDS):
        check()
        corners = faces[crossing]
        hopeless = attempt > PLAIN_ATTEMPTS and len(corners) > TANGLED * len(faces)
        if since > PATIENCE:
            leash, since = leash + 1, 0
        if not len(corners) or leash == len(LEASHES) or hopeless:
            break
        edge = _mean_edges(surface) if edge is None else edge
        # a tangle that wanders takes its count with it
        np.maximum.at(attempts, corners.reshape(-1), np.repeat(attempts[corners].max(1) + 1, 3))
        tangled = np.unique(corners)
        reach = np.full(len(vertices), -1, np.int32)
        reach[tangled] = np.minimum(attempts[tangled] * finer // RINGS_EVERY, MOST_RINGS * finer)
        rounds = 2 + int(reach.max())
        moved = around(reach, surface)
        there = Neighbourhood(moved, origin[moved], LEASHES[leash] * edge[moved, None], edge)
        pushes = (0.0, *PUSHES) if attempts[tangled].max() > PLAIN_ATTEMPTS else (0.0,)
        crossing = _best_attempt(surface, tree, there, pushes, rounds)
        since += 1
        if int(crossing.sum()) < fewest:
            best, fewest, since = vertices.copy(), int(crossing.sum()), 0
    vertices[:] = origin if best is None else best
    return fewest


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """The vertices that an attempt moves, and the room they have."""

    moved: np.ndarray  # [n] vertices
    place: np.ndarray  # [n, 3] where they were at first
    farthest: np.ndarray  # [n, 1] how far from there they may go
    edge: np.ndarray  # [V] mean edge lengths


def _best_attempt(
    surface: Surface, tree: BoxTree, there: Neighbourhood, pushes: tuple[float, ...], rounds: int
) -> np.ndarray:
    """Pushes the moved vertices outward and smooths them, by each of pushes, and keeps the best for every part.

    Returns the faces [F] bool that cross afterwards, among those that moved and what they cross.
    """
    vertices, faces = surface.vertices, surface.faces
    moved, place, farthest = there.moved, there.place, there.farthest
    part, parts = _parts(moved, surface)
    suspects = np.flatnonzero((part >= 0)[faces].any(1))
    before = vertices[moved]
    outward = _outward(surface, moved, there.edge) if len(pushes) > 1 else np.zeros_like(before)
    best, fewest = before, np.full(parts, len(faces) + 1)
    for push in pushes:
        vertices[moved] = before + push * outward
        smooth(surface, moved, rounds)
        way = vertices[moved] - place
        length = np.linalg.norm(way, axis=1, keepdims=True)
        vertices[moved] = place + way * np.minimum(1, farthest / np.maximum(length, 1e-30))
        tree.refit(vertices, faces)
        crossing = crossing_faces(vertices, faces, tree, suspects)
        touching = part[faces[crossing]].max(1)
        left = np.bincount(touching[touching >= 0], minlength=parts)
        best = np.where((left < fewest)[part[moved], None], vertices[moved], best)
        fewest = np.minimum(left, fewest)
    if len(pushes) > 1:
        vertices[moved] = best
        tree.refit(vertices, faces)
        crossing = crossing_faces(vertices, faces, tree, suspects)
    return crossing


def _mean_edges(surface: Surface) -> np.ndarray:  # [V]
    """Mean length of the edges at each vertex."""
    a = surface.faces.reshape(-1)
    lengths = np.linalg.norm(surface.vertices[a] - surface.vertices[np.roll(surface.faces, -1, 1).reshape(-1)], axis=1)
    return np.bincount(a, lengths, len(surface.vertices)) / np.bincount(a, minlength=len(surface.vertices))


def _outward(surface: Surface, moved: np.ndarray, edge: np.ndarray) -> np.ndarray:  # [n, 3]
    """Smoothed normals at the moved vertices [n], as long as the edges [V] there."""
    normals = vertex_normals(surface.vertices, surface.faces) * edge[:, None]
    smooth(surface.moved(normals), moved, 4)
    return normals[moved]


def _parts(moved: np.ndarray, surface: Surface) -> tuple[np.ndarray, int]:
    """The connected parts of the moved vertices: [V] number of each (-1 elsewhere), and how many there are."""
    part = np.full(len(surface.vertices), -1, np.int32)
    part[moved] = -2
    stack = np.empty(len(moved), np.int64)
    return part, _label(moved, part, stack, *surface.rings)


@njit(cache=True)
def _label(moved, part, stack, first, neighbours):
    """Numbers the connected parts among the vertices whose part is -2; returns how many."""
    parts = 0
    for q in range(moved.shape[0]):
        if part[moved[q]] != -2:
            continue
        part[moved[q]] = parts
        stack[0] = moved[q]
        size = 1
        while size > 0:
            size -= 1
            i = stack[size]
            for p in range(first[i], first[i + 1]):
                j = neighbours[p]
                if part[j] == -2:
                    part[j] = parts
                    stack[size] = j
                    size += 1
        parts += 1
    return parts

"""Eyes, teeth, tongue and lashes follow the skin around them; lids lie on the eyeballs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..capture.cameras import Similarity
from ..head.canonical import similarity
from ..model import Template
from .regions import Regions

AROUND_MM = 14.0  # skin so near an eye carries it
CLEARANCE_MM = 0.05  # between a lid and the eyeball
FADE_MM = 3.0  # along the eyeball, over which a push out of it fades
LIDS_MM = 3.0  # lid vertices so near the eyeball in the template are kept out of it


@dataclass(frozen=True, eq=False)
class Ball:
    """An eyeball as a sphere."""

    center: np.ndarray  # [3]
    radius: float

    @classmethod
    def of(cls, points: np.ndarray) -> Ball:  # [n, 3]
        """Least squares, then the half of the points that fits best: the cornea bulges out of the sphere."""
        use = np.ones(len(points), bool)
        for _ in range(4):
            A = np.c_[2 * points[use], np.ones(use.sum())]
            solved = np.linalg.lstsq(A, (points[use] ** 2).sum(1), rcond=None)[0]
            center, radius = solved[:3], float(np.sqrt(max(solved[3] + solved[:3] @ solved[:3], 1e-12)))
            off = np.abs(np.linalg.norm(points - center, axis=1) - radius)
            use = off <= np.median(off) + 1e-9
        return cls(center, radius)


def place_parts(
    template: Template, regions: Regions, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, dict[str, Similarity]]:
    """All parts moved as the skin around them has moved, and by which similarity each has.

    before, after: [V, 3], the skin's vertices of the fitted person and on the scan; after's parts are replaced.
    """
    result, moves = after.copy(), {}
    for eye in ("eye_left", "eye_right"):
        part = template.of_part(eye)
        if not part.any():
            continue
        near = cKDTree(before[part]).query(before)[0] < AROUND_MM
        moves[eye] = _similarity(before, after, near & regions.exposed & regions.lids)
        result[part] = moves[eye].points(before[part])
    mouth = regions.lips & regions.exposed
    for name in ("teeth_upper", "teeth_lower", "tongue"):
        part = template.of_part(name)
        if part.any():
            near = cKDTree(before[part]).query(before)[0]
            moves[name] = _similarity(before, after, mouth | (regions.face & (near < 20)))
            result[part] = moves[name].points(before[part])
    lashes = template.of_part("lashes", "other")
    if lashes.any():
        skin = np.flatnonzero(regions.skin)
        far, which = cKDTree(before[skin]).query(before[lashes], 6)
        weights = 1 / (far + 0.5) ** 2
        weights /= weights.sum(1, keepdims=True)
        result[lashes] = before[lashes] + np.einsum("nk,nkd->nd", weights, (after - before)[skin[which]])
    return result, moves


def balls(template: Template, vertices: np.ndarray) -> list[Ball]:
    """The eyeballs of a shape [V, 3] of the template."""
    return [Ball.of(vertices[part]) for eye in ("eye_left", "eye_right") if (part := template.of_part(eye)).any()]


def off_the_eyes(
    template: Template, regions: Regions, vertices: np.ndarray, eyes: list[Ball], fade: float = FADE_MM
) -> np.ndarray:  # [V, 3]
    """Lids that lie inside an eyeball of the shape are brought to its surface, and what lies over them with them."""
    result = vertices.copy()
    for ball, lid in zip(eyes, lids_on(template, regions), strict=True):
        result[lid] += outward(result[lid], ball, fade)
    return result


def outward(points: np.ndarray, ball: Ball, fade: float = FADE_MM) -> np.ndarray:  # [n, 3] -> [n, 3]
    """What brings points before an eyeball out of it. Each takes along what lies around and over it, as far as fade
    along the eyeball, since lids have two sides that must not come to lie in one."""
    away = points - ball.center
    length = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
    deep = ball.radius + CLEARANCE_MM - length
    inside = np.flatnonzero((deep > 0) & (away[:, 2] > 0))  # sockets may be behind
    push = np.zeros(len(points))
    if len(inside):
        on = away / length[:, None] * ball.radius
        for i, near in zip(inside, cKDTree(on).query_ball_point(on[inside], fade), strict=True):
            far = np.linalg.norm(on[near] - on[i], axis=1)
            push[near] = np.maximum(push[near], deep[i] * (1 - far / fade))
    return (push / length)[:, None] * away


def lids_on(template: Template, regions: Regions) -> list[np.ndarray]:  # of [V] bool
    """For each eyeball of the template the lids that lie on it."""
    return [
        regions.lids & (np.linalg.norm(template.vertices - own.center, axis=1) < own.radius + LIDS_MM + 6)
        for own in balls(template, template.vertices)
    ]


def _similarity(before: np.ndarray, after: np.ndarray, chosen: np.ndarray) -> Similarity:
    found = similarity(before[chosen], after[chosen]) if chosen.sum() >= 4 else None
    if found is None:
        return Similarity(1.0, np.eye(3), np.zeros(3))
    return Similarity(found.scale, found.rotation, found.offset)

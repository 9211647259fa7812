"""Colours for places that no photograph shows: the mirror side's detail, the neighbours' tone; and the gutter."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.spatial import cKDTree

from ..side_by_side import side_by_side
from .shares import neighbour_mean

SMOOTHING = 80  # rounds over what was spread, so that no rays show
FILL_ROUNDS = 200  # rings that colours are spread over
PAIR_DISTANCE = 0.05  # of the head's radius between a place and its mirror image's nearest vertex
MOST_GAP = 0.2  # of the sRGB range that the mirror side's tone is moved by
PAIR_NORMAL = 0.6  # least cosine between their normals
PLANE_VOTERS = 5000
PLANE_ROUNDS = 12
STRIP = 1024  # rows of a map whose gutter is filled at a time
GUTTER_SHARE = 1 / 64  # of a map's side: how far colours reach over the borders of islands


def fill_vertices(
    colors: np.ndarray, known: np.ndarray, faces: np.ndarray, mirror: np.ndarray | None = None
) -> np.ndarray:  # [V, 3]
    """Colours of unknown vertices. mirror [V]: each vertex's mirror image, -1 where it has none.

    What the mirror side knows is taken with the tone of the place it comes to (as in seamless cloning: the difference
    along the border is spread over the gap); the rest is spread from the neighbours.
    """
    if known.all() or not known.any():
        return colors
    smooth = neighbour_mean(faces, len(colors))
    if mirror is not None:
        paired = (mirror >= 0) & known[np.maximum(mirror, 0)]
        twin = colors[np.maximum(mirror, 0)]
        gap = _spread_smooth(np.where((known & paired)[:, None], colors - twin, 0), known & paired, faces, smooth)
        taken = paired & ~known
        colors = np.where(taken[:, None], np.clip(twin + np.clip(gap, -MOST_GAP, MOST_GAP), 0, 1), colors)
        known = known | taken
    return _spread_smooth(colors, known, faces, smooth)


def spread(colours: np.ndarray, known: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [V, k]
    """Spread the known colours over the unknown vertices, ring by ring; what no ring reaches takes the mean."""
    if known.all() or not known.any():
        return colours
    colours, known = colours.copy(), known.copy()
    start = np.concatenate([faces[:, 0], faces[:, 1], faces[:, 2]])
    end = np.concatenate([faces[:, 1], faces[:, 2], faces[:, 0]])
    open_edges = ~known[end]
    start, end = start[open_edges], end[open_edges]
    unknown = np.flatnonzero(~known)
    row = np.empty(len(known), np.int64)
    row[unknown] = np.arange(len(unknown))
    for _ in range(FILL_ROUNDS):
        rim = known[start]
        if not rim.any():
            break
        a, b = start[rim], row[end[rim]]
        start, end = start[~rim], end[~rim]
        votes = np.bincount(b, minlength=len(unknown))
        reached = votes > 0
        for channel in range(3):
            sums = np.bincount(b, colours[a, channel], len(unknown))
            colours[unknown[reached], channel] = sums[reached] / votes[reached]
        known[unknown[reached]] = True
        still = ~known[end]
        start, end = start[still], end[still]
    colours[~known] = colours[known].mean(0)
    return colours


def _spread_smooth(values, known, faces, smooth):
    if known.all() or not known.any():
        return values
    values = spread(values.astype(np.float32), known, faces)
    unknown = ~known
    part = smooth[unknown]
    for _ in range(SMOOTHING):
        values[unknown] = part @ values
    return values


def mirror_images(vertices: np.ndarray, normals: np.ndarray, across: np.ndarray, radius: float) -> np.ndarray:  # [V]
    """The vertex nearest to every vertex's mirror image, -1 where none is near or it looks elsewhere.

    across [3]: the direction from one ear to the other, about; the plane is fitted to the vertices.
    """
    tree = cKDTree(vertices)
    chosen = np.random.default_rng(0).choice(len(vertices), min(PLANE_VOTERS, len(vertices)), replace=False)
    points, middle = vertices[chosen], vertices.mean(0)
    axis, offset = across / np.linalg.norm(across), 0.0  # from the middle
    for _ in range(PLANE_ROUNDS):
        image = _mirrored(points - middle, axis, offset) + middle
        gap, near = tree.query(image, workers=-1)
        # distances along the surface's normals, robustly (Gauss and Newton; what changes with tilts and offset)
        tilts = np.linalg.svd(axis[None])[2][1:]
        gaps = ((image - vertices[near]) * normals[near]).sum(1)
        step = 1e-4
        columns = []
        for k in range(3):
            turned = axis + step * tilts[k] if k < 2 else axis
            moved = _mirrored(
                points - middle, turned / np.linalg.norm(turned), offset + (step * radius if k == 2 else 0)
            )
            columns.append(((moved + middle - image) * normals[near]).sum(1) / step)
        J = np.stack(columns, 1)
        weight = 1 / (1 + (gap / max(np.median(gap), 1e-9 * radius)) ** 2)
        system = (J * weight[:, None]).T @ J
        change = -np.linalg.solve(system + 1e-6 * np.trace(system) * np.eye(3), (J * weight[:, None]).T @ gaps)
        axis = axis + change[:2] @ tilts
        axis /= np.linalg.norm(axis)
        offset += float(change[2]) * radius
    offset += float(middle @ axis)
    image = _mirrored(vertices, axis, offset)
    turned = normals - 2 * np.outer(normals @ axis, axis)
    gap, near = tree.query(image, workers=-1)
    good = (gap < PAIR_DISTANCE * radius) & ((turned * normals[near]).sum(1) > PAIR_NORMAL)
    return np.where(good, near, -1)


def _mirrored(points: np.ndarray, axis: np.ndarray, offset: float) -> np.ndarray:
    return points - 2 * np.outer(points @ axis - offset, axis)


def fill_gutter(image: np.ndarray, covered: np.ndarray, beyond: object = None) -> None:
    """Paints what no island covers, in place: near an island its nearest texel, farther away beyond, or the mean.

    image [S, S, k], covered [S, S] uint8.
    """
    inside = covered > 0
    if inside.all() or not inside.any():
        return
    step = max(1, covered.size // 4_000_000)
    mean = image[inside][::step].mean(0) if beyond is None else np.asarray(beyond)
    reach = max(8, round(covered.shape[0] * GUTTER_SHARE))

    def strip(begin: int) -> None:
        # a strip with what may reach into it: distances to the whole map would take twelve bytes a texel
        first, end = max(0, begin - reach - 2), min(len(inside), begin + STRIP + reach + 2)
        around, own = inside[first:end], slice(begin - first, min(begin + STRIP, len(inside)) - first)
        outside = ~around[own]
        if not outside.any():
            return
        target = image[begin : begin + STRIP]
        if not around.any():
            target[outside] = mean.astype(image.dtype)
            return
        distance, label = cv2.distanceTransformWithLabels(
            (~around).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        place = np.zeros(int(label.max()) + 1, np.int64)  # of the covered texel that carries each label
        place[label[around]] = np.flatnonzero(around)
        near = outside & (distance[own] <= reach)
        target[near] = image[first:end].reshape(around.size, -1)[place[label[own][near]]]
        target[outside & ~near] = mean.astype(image.dtype)

    for _ in side_by_side(strip, range(0, len(inside), STRIP)):
        pass

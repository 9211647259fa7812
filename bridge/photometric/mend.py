"""Where the mesh is far from what the photographs agree on, it is pulled there along the views' rays.

A search along the mesh's own normals is trapped where the mesh is folded: what the fold hides nobody compares, and its
normals point anywhere. Depth maps that know nothing of the fold (sweep.py) show it as a strip of pixels that are far
from where all other views would have them, and in every round the pixels that the mesh covers pull its vertices on.
"""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit
from scipy import sparse
from scipy.sparse.linalg import cg

from ..errors import Check, unchecked
from ..mesh import Surface
from ..raster.shading import pixel_weights
from ..solve.cleanup import untangle
from .density import remeshed
from .match import neighbour_matrix
from .pictures import Pictures
from .sight import Sight, Sights
from .sweep import DepthMap, depth_maps

# From which correlation of its windows a depth is believed, how much more it must be than at any other depth, and than
# at the mesh's own; how many other views must have the same point
LIKE, UNIQUE, BETTER, VIEWS = 0.6, 0.1, 0.25, 2
OFF = 2.0  # pixels from the mesh's depth: what is nearer is left to the finer steps that follow
STRIP = 5  # pixels that a place must be wide: thinner ones are the seams that every edge has
LEAST = 0.002  # share of a view's head that must be off before anything is done
FARTHEST = 10.0  # pixels a round
STIFF = (0.3, 0.3, 0.3, 0.1, 0.1, 0.1)  # rounds: weight of the Laplacian against a vertex that is seen often
OFTEN = 20.0  # pixels that see a vertex


def mended(
    vertices: np.ndarray, faces: np.ndarray, pictures: Pictures, partners: list[list[int]], check: Check = unchecked
) -> tuple[np.ndarray, np.ndarray]:
    """A closed mesh, vertices [V, 3] in the head's frame, where the depth maps want it; the same arrays where nothing
    is far off. partners: for each view the others that it is compared with."""
    sights = Sights.of(vertices, faces, pictures)
    maps = depth_maps(sights, partners, check)
    wanted, worst = [], 0.0
    for sight, found, grey in zip(sights.views, maps, pictures.grey, strict=True):
        depth, off = _wanted(sight, found, pictures.pixel)
        worst = max(worst, off.sum() / max((sight.depth > 0).sum(), 1))
        wanted.append(_whole(sight, depth, grey.shape))
    if worst < LEAST:
        return vertices, faces
    for stiff in STIFF:
        check()
        vertices = vertices + pull(vertices, faces, pictures, wanted, stiff)
        surface = Surface.of(vertices, faces).moved(vertices)
        untangle(surface, check)
        vertices, faces = remeshed(surface.vertices, faces, np.ones(len(vertices), bool), len(vertices), check)
    return vertices, faces


def _wanted(sight: Sight, found: DepthMap, pixel: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth [h, w] where the mesh should be, 0 where nobody knows, and where it is far from there [h, w] bool."""
    known = (found.agreeing >= VIEWS) & (found.correlation > LIKE)
    far = (np.abs(found.depth - sight.depth) > OFF * pixel) | (sight.depth == 0)
    sure = (found.correlation - found.elsewhere > UNIQUE) & (found.correlation - found.mesh > BETTER)
    strips = cv2.morphologyEx((known & far & sure).astype(np.uint8), cv2.MORPH_OPEN, np.ones((STRIP, STRIP), np.uint8))
    off = strips.astype(bool)
    return np.where(off | (known & ~far), found.depth, 0).astype(np.float32), off


def _whole(sight: Sight, depth: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The part [h, w] in its place in the picture [H, W]."""
    whole = np.zeros(shape, np.float32)
    (y, x), (h, w) = sight.first, depth.shape
    whole[y : y + h, x : x + w] = depth
    return whole


def pull(
    vertices: np.ndarray, faces: np.ndarray, pictures: Pictures, wanted: list[np.ndarray], stiff: float
) -> np.ndarray:
    """Motions [V, 3]: of seen vertices the mean of what their pixels want, of the others as smooth as can be.
    wanted: depth [H, W] of every picture, 0 where nobody knows it."""
    sights = Sights.of(vertices, faces, pictures)
    weight, pull = np.zeros(len(vertices)), np.zeros((len(vertices), 3))
    near, far = OFF * pictures.pixel, FARTHEST * pictures.pixel
    for i, depth in enumerate(wanted):
        sight = sights.whole(i)
        _gather(sight.triangle, sight.depth, sight.cut(depth), sight.first, sight.back, sight.camera.center,
                sights.vertices, faces, near, far, weight, pull)  # fmt: skip
    edges = neighbour_matrix(faces, len(vertices))
    laplacian = sparse.diags(np.asarray(edges.sum(1)).ravel()) - edges
    sure = np.minimum(weight, OFTEN) / OFTEN
    system = (sparse.diags(sure + 1e-4) + stiff * laplacian).tocsr()
    right = (sure / np.maximum(weight, 1e-9))[:, None] * pull
    inverse = sparse.diags(1 / system.diagonal())
    return np.stack([cg(system, right[:, d], rtol=1e-3, maxiter=300, M=inverse)[0] for d in range(3)], 1)


@njit(cache=True, nogil=True)
def _gather(triangle, depth, wanted, first, back, center, vertices, faces, near, far, weight, pull):
    """Adds every pixel's way [h, w] along its ray to the vertices [V] of the triangle it sees, by their weights there;
    ways shorter than near count as none, and none is longer than far."""
    for y in range(depth.shape[0]):
        for x in range(depth.shape[1]):
            f = triangle[y, x]
            if f < 0 or wanted[y, x] <= 0:
                continue
            px, py = first[1] + x + 0.5, first[0] + y + 0.5
            dx = back[0, 0] * px + back[0, 1] * py + back[0, 2]
            dy = back[1, 0] * px + back[1, 1] * py + back[1, 2]
            dz = back[2, 0] * px + back[2, 1] * py + back[2, 2]
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            w0, w1, w2, _, _, _, _ = pixel_weights(vertices, i, j, k, center, dx, dy, dz)
            way = min(max(np.float64(wanted[y, x] - depth[y, x]), -far), far)
            if abs(way) < near:
                way = 0.0
            for vertex, share in ((i, w0), (j, w1), (k, w2)):
                share = min(max(share, 0.0), 1.0)
                weight[vertex] += share
                pull[vertex, 0] += share * way * dx
                pull[vertex, 1] += share * way * dy
                pull[vertex, 2] += share * way * dz

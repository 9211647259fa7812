"""A triangle mesh with texture coordinates, its tiles, and what makes coordinates unfit to bake on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from ..errors import BridgeError
from ..mesh import Mesh

CHECK_SIZE = 1024  # texels of a tile's side when overlaps are looked for
OVERLAP_SHARE = 0.002  # of a tile's covered texels: less is rounding along the borders of islands
OUTSIDE = 1e-4  # of a tile: how far an island may reach over its border
UNWRAP_CURE = "Unwrap it again, or leave the UVs out of the file to have them made."


@dataclass(frozen=True, eq=False)
class UvMesh:
    """Vertices and triangles with a texture coordinate at every corner: u to the right, v up, tile 1001 is [0, 1]^2."""

    vertices: np.ndarray  # [V, 3] float64, world
    faces: np.ndarray  # [F, 3] int32
    uv: np.ndarray  # [T, 2] float64
    faces_uv: np.ndarray  # [F, 3] int32: rows of uv
    polygons: np.ndarray | None = None  # [F] int32: which polygon of the file a triangle belongs to

    @property
    def mesh(self) -> Mesh:
        return Mesh(self.vertices, self.faces)

    @cached_property
    def tile_numbers(self) -> np.ndarray:  # [F] int32
        """The UDIM number of each face: 1001 + column + 10 * row of the tile its middle lies in."""
        a, b, c = (self.uv[rows] for rows in self.faces_uv.T)
        middle = np.floor((a + b + c) / 3).astype(np.int64)
        return (1001 + middle[:, 0] + 10 * middle[:, 1]).astype(np.int32)

    def tile(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Which faces [n] lie in a tile, and their corners' coordinates [n, 3, 2] inside it (0 to 1)."""
        faces = np.flatnonzero(self.tile_numbers == number)
        return faces, self.uv[self.faces_uv[faces]] - np.array([(number - 1001) % 10, (number - 1001) // 10])

    def tiles(self) -> list[int]:
        return [int(number) for number in np.unique(self.tile_numbers)]

    def charts(self) -> np.ndarray:  # [F] int32
        """The island of each face: faces that share a row of uv belong together."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        f = self.faces_uv.astype(np.int64)
        pairs = np.concatenate([f[:, :2], f[:, 1:]])
        graph = coo_matrix((np.ones(len(pairs), np.int8), pairs.T), (len(self.uv), len(self.uv)))
        labels = connected_components(graph, directed=False)[1]
        return np.unique(labels[f[:, 0]], return_inverse=True)[1].astype(np.int32)


def check_uvs(mesh: UvMesh, name: str) -> None:
    """Refuse coordinates that no picture can be baked on. name: the mesh's, for the sentence.

    Raises BridgeError: uv-none, uv-outside, uv-overlap.
    """
    if not len(mesh.uv) or not np.ptp(mesh.uv, axis=0).all():
        raise BridgeError("uv-none", f"The mesh '{name}' has no UVs.", UNWRAP_CURE)
    if not np.isfinite(mesh.uv).all() or mesh.uv.min() < -OUTSIDE or mesh.uv[:, 0].max() > 10 + OUTSIDE:
        raise BridgeError(
            "uv-outside",
            f"UVs of the mesh '{name}' lie outside all tiles: u runs from {mesh.uv[:, 0].min():.3g} to "
            f"{mesh.uv[:, 0].max():.3g}, v from {mesh.uv[:, 1].min():.3g} to {mesh.uv[:, 1].max():.3g}.",
            "Move the islands into the unit square, or into UDIM tiles to its right and above.",
        )
    for number in mesh.tiles():
        faces, corners = mesh.tile(number)
        over = (corners.min((1, 2)) < -OUTSIDE) | (corners.max((1, 2)) > 1 + OUTSIDE)
        if over.any():
            u, v = mesh.uv[mesh.faces_uv[faces[over][0]]].mean(0)
            raise BridgeError(
                "uv-outside",
                f"UV islands of the mesh '{name}' cross the border of tile {number} ({int(over.sum())} triangles, the "
                f"first near u {u:.3f}, v {v:.3f}).",
                "Move each island wholly into one tile (in Blender: UV Editor, UV > Pack Islands).",
            )
        covered = np.zeros((CHECK_SIZE, CHECK_SIZE), np.uint8)
        count_cover(np.ascontiguousarray(texel_corners(corners, CHECK_SIZE)), covered)
        twice = covered > 1
        if twice.sum() > OVERLAP_SHARE * (covered > 0).sum():
            y, x = (int(np.median(k)) for k in np.nonzero(twice))
            share = 100 * twice.sum() / (covered > 0).sum()
            raise BridgeError(
                "uv-overlap",
                f"UVs of the mesh '{name}' overlap: {share:.1f} % of tile {number} is "
                f"used twice, around u {(x + 0.5) / CHECK_SIZE:.3f}, v {1 - (y + 0.5) / CHECK_SIZE:.3f}.",
                "Give every island its own place (in Blender: UV Editor, Select > Select Overlap, then UV > Pack "
                "Islands); mirrored halves need one more tile.",
            )


def texel_corners(corners: np.ndarray, size: int) -> np.ndarray:  # [n, 3, 2] in a tile -> the same in texels
    """x to the right and y down, as rows of an image run; the first texel's centre is (0.5, 0.5)."""
    return np.stack([corners[..., 0] * size, (1 - corners[..., 1]) * size], -1).astype(np.float32)


@njit(cache=True)
def count_cover(corners, covered):  # [n, 3, 2] float32 texels, [S, S] uint8
    """How many triangles cover each texel's centre (up to 255). Shared edges count once."""
    size = covered.shape[0]
    for f in range(corners.shape[0]):
        ax, ay = corners[f, 0]
        bx, by = corners[f, 1]
        cx, cy = corners[f, 2]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if area == 0:
            continue
        if area < 0:
            bx, by, cx, cy = cx, cy, bx, by
        x0, x1 = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(size - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        y0, y1 = max(0, int(np.ceil(min(ay, by, cy) - 0.5))), min(size - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                if (
                    _inside(ax, ay, bx, by, x, y)
                    and _inside(bx, by, cx, cy, x, y)
                    and _inside(cx, cy, ax, ay, x, y)
                    and covered[y, x] < 255
                ):
                    covered[y, x] += 1


@njit(inline="always")
def _inside(ax, ay, bx, by, x, y):
    """Is the texel's centre left of a -> b? On the edge itself only for one of its two directions."""
    half = np.float32(0.5)
    px, py, qx, qy = ax - x - half, ay - y - half, bx - x - half, by - y - half
    side = px * qy - py * qx
    return side > 0 or (side == 0 and (by > ay or (by == ay and bx < ax)))

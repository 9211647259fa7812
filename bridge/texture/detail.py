"""What a dense head has and a template's polygons have not: normals, displacement, occlusion and curvature as maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit, prange
from scipy.spatial import cKDTree

from ..capture.cameras import Camera
from ..errors import BridgeError, Check, unchecked
from ..mesh import Mesh
from ..mesh.boxtree import BoxTree
from ..raster.look import look
from ..side_by_side import side_by_side
from .bake import _split, head_radius
from .fill import fill_gutter
from .paint import _box, _covers
from .rays import Met, surface_along
from .shares import neighbour_mean
from .shots import Surface
from .subdivision import Polygons
from .tangent import Frames, corner_angle_normals, tangent_frames
from .uv_mesh import UvMesh, count_cover, texel_corners

REACH = 0.08  # of the head's radius: how far the dense surface may lie from the mesh
APART = 0.15  # of it: a dense head whose usual distance is larger belongs to another mesh
MOST_ROWS = 1_300_000  # rows that subdividing leads to
FINENESS = 0.7  # of the dense head's usual edge: the edges of the subdivided mesh
OCCLUSION_VIEWS = 96  # directions the sky is seen from
OCCLUSION_PIXELS = 640
OCCLUSION_DEPTH = 0.01  # of the head's radius
CURVATURE_SPAN = 0.25  # of the head's radius: the radius of curvature that is fully white or black
FLAT = np.array([32768, 32768, 65535], np.uint16)  # a normal that changes nothing


@dataclass(frozen=True, eq=False)
class Detail:
    """Maps by UDIM tile, rows from the top.

    normals: [S, S, 3] uint16, tangent space, n = v / 65535 * 2 - 1, OpenGL axes (green up), MikkTSpace.
    displacement: [S, S] float32 world units along the smooth normals of the mesh as it is (Simple subdivision), or of
    the mesh as Catmull and Clark subdivide it; the mid level is 0. occlusion: [S, S] uint8, 255 open; curvature:
    [S, S] uint8, 128 flat, brighter where it bulges.
    missed_pct: of the places, where the dense head was not met and the mesh's own shape stands.
    """

    normals: dict[int, np.ndarray]
    displacement: dict[int, np.ndarray]
    occlusion: dict[int, np.ndarray]
    curvature: dict[int, np.ndarray]
    missed_pct: float


@dataclass(frozen=True, eq=False)
class DenseHead:
    """The head that details are taken from, and its name for sentences."""

    name: str
    mesh: Mesh


def bake_detail(
    mesh: UvMesh,
    dense_head: DenseHead,
    size: int,
    extras: bool = False,
    subdivided: bool = False,
    *,
    check: Check = unchecked,
) -> Detail:
    """The detail of a dense head on a mesh's UVs of size texels a side.

    extras: occlusion and curvature too. subdivided: displacement over Catmull and Clark's surface, not over the mesh as
    it is. Raises BridgeError "detail-apart" where both do not lie on each other.
    """
    radius, dense = head_radius(mesh), dense_head.mesh
    dense_normals = corner_angle_normals(dense.vertices - dense.vertices.mean(0), dense.faces)
    gap = cKDTree(dense.vertices).query(mesh.vertices[:: max(1, len(mesh.vertices) // 5000)])[0]
    if np.median(gap) > APART * radius:
        raise BridgeError(
            "detail-apart",
            f"The dense head '{dense_head.name}' lies away from the mesh: {np.median(gap):.3g} units apart.",
            "Give the dense head that the mesh was wrapped onto or made from, in the same world.",
        )
    fine, source = _subdivided(tangent_frames(mesh), FINENESS * _usual_edge(dense))
    check()
    directions = fine.normals / np.maximum(np.linalg.norm(fine.normals, axis=1, keepdims=True), 1e-9)
    values = [dense_normals]
    if extras:
        values += [occlusion(dense, dense_normals, radius, check)[:, None]]
        values += [curvature(dense, dense_normals, radius)[:, None]]
    surface = Surface(dense.vertices, dense.faces, dense_normals, radius)
    tree = BoxTree.of(surface.vertices, surface.faces)
    met = surface_along(fine.points, directions, REACH * radius, surface, np.concatenate(values, 1), tree=tree)
    check()
    height, seen = _close_gaps(source[fine.faces], source, met, directions)
    lifted = _over_subdivision(mesh, surface, tree, FINENESS * _usual_edge(dense)) if subdivided else None
    check()
    detail = Detail({}, {}, {}, {}, float(100 * (~met.found).mean()))
    numbers = UvMesh(fine.points, fine.faces, fine.uv, fine.faces)
    for tile in numbers.tiles():
        faces, uv = numbers.tile(tile)
        corners, rows = texel_corners(uv, size), np.ascontiguousarray(fine.faces[faces])
        covered = np.zeros((size, size), np.uint8)
        image = np.zeros((size, size, 3), np.uint16)
        image[:] = FLAT
        wanted = seen[:, :3].astype(np.float32)
        _paint_normals(corners, rows, fine.normals, fine.tangents, fine.signs, wanted, image, covered)
        fill_gutter(image, covered, FLAT)
        detail.normals[tile] = image
        check()
        maps: list[tuple[dict[int, np.ndarray], np.ndarray, int | None]] = []
        if lifted is None:
            maps += [(detail.displacement, height, None)]
        else:
            detail.displacement[tile] = lifted.map(tile, size)
        if extras:
            maps += [(detail.occlusion, seen[:, 3], 255), (detail.curvature, seen[:, 4], 255)]
        for target, value, top in maps:
            plane = np.zeros((size, size, 1), np.float32)
            _paint_plain(corners, rows, np.ascontiguousarray(value, np.float32), plane)
            if top is None:
                fill_gutter(plane, covered, 0.0)
                target[tile] = plane[..., 0]
            else:
                scaled = np.rint(np.clip(plane, 0, 1) * top).astype(np.uint8)
                fill_gutter(scaled, covered, None)
                target[tile] = scaled[..., 0]
            check()
    return detail


@dataclass(frozen=True, eq=False)
class _Heights:
    """How far the dense surface lies above the places of a subdivided mesh."""

    mesh: UvMesh  # its triangles, with a row of uv for each corner
    height: np.ndarray  # [V] float32

    def map(self, tile: int, size: int) -> np.ndarray:  # [S, S] float32
        faces, uv = self.mesh.tile(tile)
        corners, covered = texel_corners(uv, size), np.zeros((size, size), np.uint8)
        plane = np.zeros((size, size, 1), np.float32)
        _paint_plain(corners, np.ascontiguousarray(self.mesh.faces[faces]), self.height, plane)
        count_cover(corners, covered)
        fill_gutter(plane, covered, 0.0)
        return plane[..., 0]


def _over_subdivision(mesh: UvMesh, dense: Surface, tree: BoxTree, edge: float) -> _Heights:
    """The heights over the mesh as it is subdivided, at places as close as edge."""
    polygons = Polygons.of(mesh).refined()
    while polygons.edge() > edge and 4 * len(polygons.points) <= MOST_ROWS:
        polygons = polygons.refined()
    faces, uv = polygons.triangles()
    rows = np.arange(3 * len(faces), dtype=np.int32).reshape(-1, 3)
    fine = UvMesh(polygons.points, faces, uv.reshape(-1, 2), rows)
    directions = corner_angle_normals(fine.vertices - fine.vertices.mean(0), faces)
    met = surface_along(fine.vertices, directions, REACH * dense.radius, dense, dense.normals, tree=tree)
    height, _ = _close_gaps(faces, np.arange(len(fine.vertices)), met, directions)
    return _Heights(fine, np.ascontiguousarray(height, np.float32))


def occlusion(mesh: Mesh, normals: np.ndarray, radius: float, check: Check = unchecked) -> np.ndarray:  # [V] 0..1
    """How much of the sky over each vertex is open, weighed by the cosine: seen from directions all around."""
    center = (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2
    reach = float(np.linalg.norm(mesh.vertices - center, axis=1).max())
    far = 20 * reach
    focal = 0.98 * OCCLUSION_PIXELS / 2 * np.sqrt(far**2 - reach**2) / reach
    K = np.array([[focal, 0, OCCLUSION_PIXELS / 2], [0, focal, OCCLUSION_PIXELS / 2], [0, 0, 1]])

    def sky(i: int) -> tuple[np.ndarray, np.ndarray]:  # of each vertex: the cosine of a direction, and where it is open
        z = 1 - (2 * i + 1) / OCCLUSION_VIEWS  # a spiral spreads directions evenly
        turn = i * np.pi * (3 - np.sqrt(5))
        side = np.sqrt(1 - z * z)
        towards = np.array([side * np.cos(turn), side * np.sin(turn), z])
        right = np.cross(towards, [1.0, 0, 0] if abs(towards[0]) < 0.8 else [0, 1.0, 0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(-towards, right), -towards])
        camera = Camera("sky", K, R, -R @ (center + far * towards), OCCLUSION_PIXELS, OCCLUSION_PIXELS)
        depth, _ = look(camera, mesh.vertices, mesh.faces)
        pixels, along = camera.project(mesh.vertices)
        x, y = np.clip(pixels.astype(int), 0, OCCLUSION_PIXELS - 1).T
        cosine = np.maximum(normals @ towards, 0)
        slope = 1 / np.maximum(cosine, 0.15)  # a pixel of a slanted surface spans depths
        clear = along < depth[y, x] + (OCCLUSION_DEPTH * radius + slope * 1.5 * far / focal * 0.5)
        return cosine, clear | (depth[y, x] == 0)

    open_sky, whole = np.zeros(len(mesh.vertices)), np.zeros(len(mesh.vertices))
    for cosine, clear in side_by_side(sky, range(OCCLUSION_VIEWS)):
        check()
        open_sky += cosine * clear
        whole += cosine
    return open_sky / np.maximum(whole, 1e-9)


def curvature(mesh: Mesh, normals: np.ndarray, radius: float) -> np.ndarray:  # [V] 0..1
    """Mean curvature, 0.5 where it is flat, 1 where it bulges as a ball of a quarter of the head's radius."""
    smooth = neighbour_mean(mesh.faces, len(mesh.vertices))
    # half of each step is the vertex itself; the offset from the neighbours' mean, over their squared distance
    offset = 2 * ((mesh.vertices - smooth @ mesh.vertices) * normals).sum(1)
    start, end = mesh.faces.reshape(-1), np.roll(mesh.faces, -1, 1).reshape(-1)  # every vertex starts an edge
    squares = ((mesh.vertices[end] - mesh.vertices[start]) ** 2).sum(1)
    spread = np.bincount(start, squares, len(mesh.vertices))
    count = np.bincount(start, minlength=len(mesh.vertices))
    bend = 2 * offset / np.maximum(spread / np.maximum(count, 1), 1e-30)
    for _ in range(4):
        bend = smooth @ bend
    return np.clip(0.5 + 0.5 * bend * CURVATURE_SPAN * radius, 0, 1)


def _usual_edge(mesh: Mesh) -> float:
    return float(np.median(np.linalg.norm(mesh.vertices[mesh.faces[:, 1]] - mesh.vertices[mesh.faces[:, 0]], axis=1)))


def _subdivided(frames: Frames, edge: float) -> tuple[Frames, np.ndarray]:
    """The frames interpolated as a renderer does, at rows as close as edge; and the welded place of each row."""
    points = frames.points
    stack = np.concatenate(
        [points, frames.uv, frames.normals, frames.tangents, frames.signs[:, None]], 1
    )  # one table, so that all are halved alike
    faces = frames.faces
    while True:
        lengths = np.linalg.norm(stack[faces[:, 1], :3] - stack[faces[:, 0], :3], axis=1)
        if float((lengths**2).sum() / lengths.sum()) <= edge or 4 * len(stack) > MOST_ROWS:
            break
        stack, faces = _split(stack, faces)
    narrow = stack[:, 5:].astype(np.float32)
    fine = Frames(
        np.ascontiguousarray(stack[:, :3]),
        np.ascontiguousarray(stack[:, 3:5]),
        np.ascontiguousarray(narrow[:, :3]),
        np.ascontiguousarray(narrow[:, 3:6]),
        np.sign(narrow[:, 6]).astype(np.float32),
        faces,
    )
    grid = np.round((stack[:, :3] - points.min(0)) / (1e-6 * np.ptp(points, axis=0).max())).astype(np.int64)
    _, weld = np.unique((grid[:, 0] << 42) | (grid[:, 1] << 21) | grid[:, 2], return_inverse=True)
    return fine, weld.reshape(-1)


def _close_gaps(
    faces: np.ndarray, weld: np.ndarray, met: Met, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:  # [R], [R, k]
    """Places that met nothing take what their neighbours met, smoothly; far from any, the mesh's own shape.

    faces [F, 3] of welded places; weld [R]: which of them each row is.
    """
    found, height, seen = met
    if found.all():
        return height, seen
    count = int(weld.max()) + 1
    known = np.zeros(count, bool)
    known[weld[found]] = True
    own = np.concatenate([directions, np.ones((len(directions), seen.shape[1] - 3)) * 0.5], 1)
    table = np.zeros((count, 1 + seen.shape[1]), np.float64)
    table[weld] = np.concatenate([np.zeros((len(own), 1)), own], 1)
    table[weld[found]] = np.concatenate([height[found, None], seen[found]], 1)
    lost = np.flatnonzero(~known)
    around = faces[~known[faces].all(1)]  # all that says what their neighbours are
    part = neighbour_mean(around.astype(np.int32), count)[lost].astype(np.float64)
    for _ in range(40):
        table[lost] = part @ table
    merged = table[weld]
    return np.where(found, height, merged[:, 0]), np.where(found[:, None], seen, merged[:, 1:])


@njit(parallel=True, cache=True)
def _paint_normals(corners, faces, normals, tangents, signs, wanted, image, covered):
    """wanted [R, 3] world normals in the frames of a mesh, as 16 bit colours."""
    size = image.shape[0]
    for f in prange(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, x1, y0, y1, area = _box(corners, f, size)
        if area == 0:
            continue
        sign = signs[i]
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                inside, a, b, c = _covers(corners, f, area, x, y)
                if not inside:
                    continue
                covered[y, x] = 1
                nx = a * normals[i, 0] + b * normals[j, 0] + c * normals[k, 0]
                ny = a * normals[i, 1] + b * normals[j, 1] + c * normals[k, 1]
                nz = a * normals[i, 2] + b * normals[j, 2] + c * normals[k, 2]
                tx = a * tangents[i, 0] + b * tangents[j, 0] + c * tangents[k, 0]
                ty = a * tangents[i, 1] + b * tangents[j, 1] + c * tangents[k, 1]
                tz = a * tangents[i, 2] + b * tangents[j, 2] + c * tangents[k, 2]
                bx, by, bz = sign * (ny * tz - nz * ty), sign * (nz * tx - nx * tz), sign * (nx * ty - ny * tx)
                wx = a * wanted[i, 0] + b * wanted[j, 0] + c * wanted[k, 0]
                wy = a * wanted[i, 1] + b * wanted[j, 1] + c * wanted[k, 1]
                wz = a * wanted[i, 2] + b * wanted[j, 2] + c * wanted[k, 2]
                # the renderer adds x T + y B + z N as they are interpolated: solve for x, y, z (Cramer)
                p0, p1, p2 = by * nz - bz * ny, bz * nx - bx * nz, bx * ny - by * nx
                det = tx * p0 + ty * p1 + tz * p2
                if det == 0:
                    continue
                u = (wx * p0 + wy * p1 + wz * p2) / det
                v = (tx * (wy * nz - wz * ny) + ty * (wz * nx - wx * nz) + tz * (wx * ny - wy * nx)) / det
                w = (tx * (by * wz - bz * wy) + ty * (bz * wx - bx * wz) + tz * (bx * wy - by * wx)) / det
                length = np.sqrt(u * u + v * v + w * w)
                if length == 0:
                    continue
                image[y, x, 0] = np.uint16((u / length * 0.5 + 0.5) * 65535 + 0.5)
                image[y, x, 1] = np.uint16((v / length * 0.5 + 0.5) * 65535 + 0.5)
                image[y, x, 2] = np.uint16((max(w / length, 0.0) * 0.5 + 0.5) * 65535 + 0.5)


@njit(parallel=True, cache=True)
def _paint_plain(corners, faces, values, image):
    size = image.shape[0]
    for f in prange(faces.shape[0]):
        x0, x1, y0, y1, area = _box(corners, f, size)
        if area == 0:
            continue
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                inside, a, b, c = _covers(corners, f, area, x, y)
                if inside:
                    image[y, x, 0] = a * values[faces[f, 0]] + b * values[faces[f, 1]] + c * values[faces[f, 2]]

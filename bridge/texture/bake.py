"""Albedo: the photographs on a mesh's UVs, at full resolution, one photograph in memory at a time.

Everything that chooses and blends is decided at vertices closer together than the margin that photographs keep from
rims; a texel then only interpolates. So a map of any size costs its pixels and one photograph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..capture.images import Photo, read_photo, resize_map
from ..capture.record import View
from ..errors import BridgeError
from ..mesh.normals import vertex_normals
from ..mesh.topology import surface_area
from ..service.memory import trim_heaps
from ..side_by_side import side_by_side
from . import delight as delighting
from .align import align
from .equalise import Balance, equalise, in_range
from .fill import fill_gutter, fill_vertices, mirror_images
from .light import to_srgb
from .paint import paint, paint_values, tables
from .settings import TextureSettings
from .shares import Shares, focus, neighbour_mean, share_out, suppress_highlights
from .shots import Shot, Surface, cut, take
from .uv_mesh import UvMesh, texel_corners

EDGE = 0.014  # of the head's radius: a mesh with longer edges is subdivided for the decisions
MOST_VERTICES = 400_000  # that subdividing leads to
MAP_BYTES = 1_700_000_000  # of maps painted at a time; more tiles than fit read the photographs again
TOO_FINE = 1.3  # pixels a texel: beyond it the photograph is averaged down first

Step = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Albedo:
    """maps: UDIM tile -> [S, S, 3] uint8 or uint16 sRGB, rows from the top. seen_pct: of the covered texels, how many
    at least one photograph shows. gains [m, 3]: what equalising multiplied each photograph's light by."""

    maps: dict[int, np.ndarray]
    seen_pct: float
    views: tuple[str, ...]
    gains: np.ndarray


@dataclass(frozen=True, eq=False)
class Plan:
    """All decisions of a bake, at the vertices of the fine mesh."""

    mesh: UvMesh
    shots: list[Shot]
    shares: Shares
    gain: Callable[[int], np.ndarray]  # shot -> [V, 3] on linear light
    offsets: np.ndarray  # [m, V, 2] pixels of the small pictures
    fill: np.ndarray  # [V, 3] sRGB
    unseen: np.ndarray  # [V] float32 1 where no photograph shows the vertex
    balance: Balance


def bake(
    mesh: UvMesh,
    views: Sequence[View],
    masks: Sequence[np.ndarray | None],
    across: np.ndarray,
    settings: TextureSettings,
    *,
    step: Step = lambda done, total: None,
) -> Albedo:
    """The albedo of a mesh. masks: of each view's field of view, any size; None takes the view's own.

    across [3]: from one ear to the other. step: told of the work done, leaves through Cancelled.
    Raises BridgeError: what reading photographs raises; texture-views where no photograph shows the mesh.
    """
    chosen = [i for i, view in enumerate(views) if view.name not in settings.excluded]
    unknown = set(settings.excluded) - {view.name for view in views}
    if unknown:
        names = ", ".join(view.name for view in views[:5])
        raise BridgeError("view", f"No view is called '{min(unknown)}'.", f"The views are {names} and so on.")
    total = 2 * len(chosen) + 4
    shown, given = [views[i] for i in chosen], [masks[i] for i in chosen]
    plan = decide(mesh, shown, given, across, settings, step=lambda done: step(done, total))
    plan = replace(plan, shots=[shot.for_painting() for shot in plan.shots])
    trim_heaps()  # a gigabyte that forty photographs of 24 MP had taken for the decisions
    maps: dict[int, np.ndarray] = {}
    tiles = plan.mesh.tiles()
    group = max(1, MAP_BYTES // (settings.size**2 * 12))
    seen = covered_texels = 0
    for begin in range(0, len(tiles), group):
        part = tiles[begin : begin + group]
        done, covers = _paint_tiles(plan, part, settings, lambda k: step(len(chosen) + 3 + k, total))
        for number in part:
            seen_here, covered = covers[number]
            seen, covered_texels = seen + seen_here, covered_texels + covered
            maps[number] = done.pop(number)
    step(total, total)
    used = tuple(shot.view.name for shot in plan.shots)
    return Albedo(maps, 100.0 * seen / max(covered_texels, 1), used, plan.balance.gains)


def decide(
    mesh: UvMesh,
    views: Sequence[View],
    masks: Sequence[np.ndarray | None],
    across: np.ndarray,
    settings: TextureSettings,
    *,
    step: Callable[[int], None] = lambda done: None,
) -> Plan:
    """Which photograph paints what of the texture, at which brightness. Raises BridgeError "texture-views"."""
    radius = head_radius(mesh)
    fine = subdivided(mesh, EDGE * radius)
    vertices, faces = fine.vertices, fine.faces
    normals = vertex_normals(vertices - vertices.mean(0), faces)
    surface = Surface(vertices, faces, normals, radius)
    shots = []

    def look(k: int) -> Shot | None:
        return take(views[k], read_photo(views[k]), masks[k], surface, settings)

    for k, shot in enumerate(side_by_side(look, range(len(views)))):
        step(k)
        if shot is not None and (shot.quality > 0).any():
            shots.append(shot)
    if not shots:
        raise BridgeError(
            "texture-views",
            "No photograph shows the mesh.",
            "Give the mesh in the capture's world (a result of it, not moved or scaled), and its photographs.",
        )
    smooth = neighbour_mean(faces, len(vertices))
    quality = np.stack([shot.quality for shot in shots])
    quality *= focus(quality, np.stack([shot.contrast for shot in shots]), smooth)
    colors = np.stack([shot.colors for shot in shots])
    shots = [shot.without_colors() for shot in shots]  # forty photographs of a fine head: a third of a gigabyte
    trim_heaps()
    balance = Balance(np.ones((len(shots), 3)), np.zeros(len(shots)))
    corner = _corner_distances(shots) if settings.vignetting else None
    if settings.equalise:
        balance = in_range(equalise(colors, quality, corner), colors, quality)
    colors *= balance.gains[:, None].astype(np.float32)
    if corner is not None:
        colors *= np.exp(balance.vignetting[:, None, None] * corner[..., None]).astype(np.float32)
    shadings = None
    if settings.delight:
        shadings = delighting.estimate(colors, quality, normals)
        for i in range(len(shots)):
            colors[i] /= shadings.at(i, normals)
    step(len(views))
    quality = suppress_highlights(quality, colors)
    shares = share_out(quality, smooth, _edge(fine), radius, lambda: step(len(views)))
    step(len(views) + 1)
    if settings.align and len(shots) > 1:
        offsets = align(shots, colors, shares.broad, surface, lambda: step(len(views) + 1))
    else:
        offsets = np.zeros((len(shots), len(vertices), 2), np.float32)
    step(len(views) + 2)
    known = shares.label >= 0
    blended = np.zeros((len(vertices), 3), np.float32)
    for i in range(len(shots)):
        blended += shares.broad[i][:, None] * to_srgb(colors[i])
    if settings.fill:
        mirror = None if known.all() else mirror_images(vertices, normals, across, radius)
        blended = fill_vertices(np.clip(blended, 0, 1), known, faces, mirror)
    else:
        blended[~known] = 0

    def gain(i: int) -> np.ndarray:
        found = np.broadcast_to(balance.gains[i], (len(vertices), 3))
        if corner is not None:
            found = found * np.exp(balance.vignetting[i] * corner[i])[:, None]
        return found if shadings is None else found / shadings.at(i, normals)

    return Plan(fine, shots, shares, gain, offsets, blended, (~known).astype(np.float32), balance)


def _paint_tiles(plan: Plan, tiles: Sequence[int], settings: TextureSettings, step: Callable[[int], None]):
    """Finished maps of the tiles, and of each: texels that a photograph shows, texels that are covered."""
    size, mesh = settings.size, plan.mesh
    out = {number: np.zeros((size, size, 3), np.float32) for number in tiles}
    corners = {}
    for number in tiles:
        faces, uv = mesh.tile(number)
        corners[number] = mesh.faces[faces], texel_corners(uv, size)

    def read(i: int) -> Photo:
        shot = plan.shots[i]
        return _no_finer(cut(read_photo(shot.view), shot.box), plan, i, corners)

    for i, part in enumerate(side_by_side(read, range(len(plan.shots)), workers=1)):  # painting takes all cores itself
        step(i)
        shot = plan.shots[i]
        w, h = part.camera.width, part.camera.height
        place = (shot.place + plan.offsets[i]) * np.array([w / shot.camera.width, h / shot.camera.height], np.float32)
        gain = np.ascontiguousarray(plan.gain(i), np.float32)
        shares = plan.shares
        detail, middle, broad = (np.ascontiguousarray(k[i]) for k in (shares.detail, shares.middle, shares.broad))
        for number in tiles:
            faces, texels = corners[number]
            paint(texels, faces, place, gain, detail, middle, broad, part.pixels, *shot.broad, *tables(), out[number])
    result, counts = {}, {}
    for number in tiles:
        faces, texels = corners[number]
        covered = np.zeros((size, size), np.uint8)
        paint_values(texels, faces, plan.fill, plan.unseen, out[number], covered)
        unseen = np.zeros((size, size, 1), np.float32)
        paint_values(texels, faces, plan.unseen[:, None], np.ones_like(plan.unseen), unseen, covered)
        counts[number] = int((covered > 0).sum() - (unseen[..., 0] > 0.5).sum()), int((covered > 0).sum())
        del unseen
        result[number] = _quantised(out.pop(number), settings.bits)
        fill_gutter(result[number], covered)
    return result, counts


def _quantised(image: np.ndarray, bits: int) -> np.ndarray:
    top = 2**bits - 1
    result = np.empty(image.shape, np.uint8 if bits == 8 else np.uint16)
    for begin in range(0, len(image), 512):
        result[begin : begin + 512] = np.rint(np.clip(image[begin : begin + 512], 0, 1) * top)
    return result


def _no_finer(photo: Photo, plan: Plan, i: int, corners) -> Photo:
    """The photograph averaged down where its pixels are much finer than texels: no aliasing, less memory."""
    shot, detail = plan.shots[i], plan.shares.detail[i]
    scale = photo.camera.width / shot.camera.width
    ratios = []
    for faces, texels in corners.values():
        used = np.flatnonzero(detail[faces[:, 0]] > 0.5)[:: max(1, len(faces) // 20_000)]
        a, b = shot.place[faces[used, 0]], shot.place[faces[used, 1]]
        along = np.linalg.norm(texels[used, 1] - texels[used, 0], axis=1)
        ratios.append(scale * np.linalg.norm(b - a, axis=1) / np.maximum(along, 1e-6))
    ratio = float(np.median(np.concatenate(ratios))) if sum(map(len, ratios)) else 1.0
    if ratio < TOO_FINE:
        return photo
    camera = photo.camera
    size = max(8, round(camera.width / ratio)), max(8, round(camera.height / ratio))
    return Photo(camera.resize(*size), resize_map(photo.pixels, *size), None)


def head_radius(mesh: UvMesh) -> float:
    """Of the sphere with the mesh's surface area, in world units: what all margins and widths are shares of."""
    return float(np.sqrt(surface_area(mesh.vertices, mesh.faces) / (4 * np.pi)))


def subdivided(mesh: UvMesh, edge: float) -> UvMesh:
    """The same surface with triangles split in four until the usual edge is short enough; UVs come along."""
    while _edge(mesh) > edge and 4 * len(mesh.vertices) <= MOST_VERTICES * 1.6:
        vertices, faces = _split(mesh.vertices, mesh.faces)
        uv, faces_uv = _split(mesh.uv, mesh.faces_uv)
        mesh = UvMesh(vertices, faces, uv, faces_uv)
    return mesh


def _split(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1)
    keys, index = np.unique(edges[:, 0] * len(points) + edges[:, 1], return_inverse=True)
    ab, bc, ca = (index.reshape(3, -1) + len(points)).astype(np.int32)
    a, b, c = faces.T
    middle = (points[keys // len(points)] + points[keys % len(points)]) / 2
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([points, middle]), np.concatenate([np.stack(k, 1) for k in parts]).astype(np.int32)


def _edge(mesh: UvMesh) -> float:
    """The length of the usual edge, weighted by length: small triangles in an eye do not hide long ones on a cheek."""
    lengths = np.linalg.norm(mesh.vertices[mesh.faces[:, 1]] - mesh.vertices[mesh.faces[:, 0]], axis=1)
    return float((lengths**2).sum() / max(lengths.sum(), 1e-30))


def _corner_distances(shots: Sequence[Shot]) -> np.ndarray:  # [m, V]
    """Squared distance of each vertex's pixel from the optical axis, 1 in the corner of the whole photograph."""
    found = []
    for shot in shots:
        camera, whole = shot.camera, shot.view.camera
        scale = camera.K[0, 0] / whole.K[0, 0]
        offset = shot.place - camera.K[:2, 2]
        corner = np.hypot(whole.width, whole.height) / 2 * scale
        found.append((offset**2).sum(1) / corner**2)
    return np.stack(found).astype(np.float32)

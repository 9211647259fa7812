"""People in one topology: every source of heads brought to the vertices of hm08, for the statistical head model.

MakeHuman's people are born on it; ICT's are carried by one correspondence (each vertex of hm08 sits inside a triangle
of ICT's neutral); avatars are wrapped one by one, with landmarks found on rendered pictures.
"""

from __future__ import annotations

import numpy as np

from ..errors import Check, unchecked
from ..head.landmarks import Landmarker, find_faces
from ..head.triangulate import triangulate
from ..mesh.closest import Target, face_normals
from ..mesh.normals import vertex_normals
from ..model import Template
from ..raster import make_rasteriser
from ..wrap.fit import inverse
from ..wrap.landmark_maps import rig
from ..wrap.regions import directions_that_see, find_regions
from ..wrap.scan import Scan
from ..wrap.skin import looks_like_skin
from ..wrap.wrap import Wrapped, wrap
from .models import AvatarModel

MM = 140.0  # of the avatars' canonical unit
PICTURE, LEAST_SEEN = 256, 2
CARRY_MM, CARRY_COSINE = 12.0, 0.3  # an hm08 vertex further from ICT's surface than this is not carried by it


def avatar_scan(avatar: AvatarModel, landmarker: Landmarker) -> Scan | None:
    """An avatar's outside in millimetres, bare where it has the face's colour; None where no face is found on it."""
    count = int(avatar.weld.max()) + 1
    vertices = np.zeros((count, 3))
    vertices[avatar.weld] = avatar.vertices * MM
    uv = np.zeros((len(avatar.vertices), 2), np.float32)
    uv[avatar.faces] = avatar.uv
    color = np.zeros((count, 3), np.float32)
    color[avatar.weld] = sampled(avatar.textures[0], uv)
    faces = avatar.weld[avatar.faces].astype(np.int32)
    apart = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    cameras = rig(np.array([0.0, -20.0, 30.0]))
    render = make_rasteriser("cpu", cameras).render(avatar.vertices.astype(np.float64) * MM, avatar.faces, uv)
    pictures = []
    for normals, where, triangle in zip(render.normals, render.attributes or [], render.triangle, strict=True):
        shade = 0.6 + 0.5 * np.clip(normals @ np.array([0.2, 0.4, 0.9]), 0, 1)
        picture = np.clip(sampled(avatar.textures[0], where) * shade[..., None], 0, 1)
        picture[triangle < 0] = 0.55
        pictures.append(picture.astype(np.float32))
    marks = triangulate(cameras, find_faces(landmarker, pictures))
    if marks is None:
        return None
    faces = np.ascontiguousarray(faces[apart])
    seen = directions_that_see(vertices, faces, vertices, PICTURE) >= LEAST_SEEN
    bare = looks_like_skin(vertices, color, np.ones(count, bool), marks.points[marks.known])
    return Scan(vertices, faces, seen.astype(np.float64), marks.points, marks.sigma, bare)


def register(template: Template, scan: Scan, check: Check = unchecked) -> tuple[np.ndarray, Wrapped]:
    """The template's vertices [V, 3] on a scan, without expression, in the template's frame at the scan's own size."""
    done = wrap(template, scan, check=check)
    local = inverse(done.pose).points(done.vertices)
    if len(template.expressions):
        local = local - np.tensordot(done.fitted.expression, template.expressions, 1)
    return local, done


def sampled(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:  # [s, s, 3] linear, [..., 2] -> [..., 3] sRGB
    """The texture's colours at texture coordinates (v up), nearest texel."""
    high, wide = texture.shape[:2]
    x = np.clip((uv[..., 0] * wide).astype(int), 0, wide - 1)
    y = np.clip(((1 - uv[..., 1]) * high).astype(int), 0, high - 1)
    return texture[y, x] ** (1 / 2.2)


def carried(hm08: Template, ict: Template, lying: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ICT's neutral and identity modes at the vertices of hm08: mean [V, 3], modes [k, V, 3] and where they hold [V].

    lying: [V, 3] hm08 wrapped onto ICT's neutral, in ICT's frame. What lies off its surface (eyes, teeth, the foot of
    the neck) is not carried.
    """
    triangles = ict.triangles_of("skin", "eye_left", "eye_right")
    normals = vertex_normals(lying, hm08.triangles).astype(np.float64)
    hit = Target(ict.vertices, triangles).closest(
        lying, normals, face_normals(ict.vertices, triangles), CARRY_COSINE, CARRY_MM
    )
    there = np.isfinite(hit.distance)
    corners = triangles[hit.face]
    modes = np.einsum("nk,jnkd->jnd", hit.weights, ict.identity[:, corners], optimize=True)
    modes[:, ~there] = 0
    return lying, modes.astype(np.float32), there & find_regions(hm08).exposed

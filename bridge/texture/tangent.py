"""Tangent frames as Blender and every renderer with MikkTSpace has them (Mikkelsen 2008).

A corner's tangent is the mean of its faces' tangents, each laid into the plane of the vertex normal and weighed by the
face's angle there; faces take part that share the corner's vertex, UV and handedness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..mesh.normals import vertex_normals
from .uv_mesh import UvMesh


@dataclass(frozen=True, eq=False)
class Frames:
    """Rows of corners with one frame; faces [F, 3] point to them."""

    points: np.ndarray  # [R, 3] float64
    uv: np.ndarray  # [R, 2] float64
    normals: np.ndarray  # [R, 3] float32 unit
    tangents: np.ndarray  # [R, 3] float32 unit
    signs: np.ndarray  # [R] float32: the bitangent is sign * normal x tangent
    faces: np.ndarray  # [F, 3] int32


def tangent_frames(mesh: UvMesh) -> Frames:
    """The frames of a smooth-shaded mesh."""
    vertices = mesh.vertices - mesh.vertices.mean(0)
    normals = corner_angle_normals(vertices, mesh.faces)
    corners, flat = vertices[mesh.faces], mesh.uv[mesh.faces_uv]
    d1, d2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    t1, t2 = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    area = t1[:, 0] * t2[:, 1] - t1[:, 1] * t2[:, 0]
    sign = np.where(area > 0, 1.0, -1.0)
    tangent = _unit(t2[:, 1:] * d1 - t1[:, 1:] * d2) * sign[:, None]
    rows = np.stack([mesh.faces, mesh.faces_uv, np.repeat(sign[:, None] > 0, 3, 1)], -1).reshape(-1, 3).astype(np.int64)
    key = (rows[:, 0] * (len(mesh.uv) + 1) + rows[:, 1]) * 2 + rows[:, 2]
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    vertex, uv_row = rows[first, 0], rows[first, 1]
    total = np.zeros((len(first), 3))
    for k in range(3):
        n = normals[mesh.faces[:, k]]
        along = _unit(tangent - (tangent * n).sum(1, keepdims=True) * n)
        e = corners[:, (k + 1) % 3] - corners[:, k]
        f = corners[:, (k + 2) % 3] - corners[:, k]
        e, f = (_unit(x - (x * n).sum(1, keepdims=True) * n) for x in (e, f))
        angle = np.arccos(np.clip((e * f).sum(1), -1, 1))
        np.add.at(total, index.reshape(-1, 3)[:, k], along * np.where(area != 0, angle, 0)[:, None])
    n = normals[vertex]
    found = _unit(total)
    lost = ~found.any(1)  # no face with an area in the UVs: any direction across the normal
    spare = np.cross(n[lost], np.where(np.abs(n[lost, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]]))
    found[lost] = _unit(spare)
    return Frames(
        mesh.vertices[vertex],
        mesh.uv[uv_row],
        n.astype(np.float32),
        found.astype(np.float32),
        np.where(rows[first, 2] > 0, 1, -1).astype(np.float32),
        index.reshape(-1, 3).astype(np.int32),
    )


def corner_angle_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:  # [V, 3] float64
    """Vertex normals weighed by the faces' angles, as Blender has them (our own are weighed by area)."""
    total = np.zeros((len(vertices), 3))
    corners = vertices[faces]
    face = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    for k in range(3):
        e, f = (_unit(corners[:, (k + m) % 3] - corners[:, k]) for m in (1, 2))
        angle = np.arccos(np.clip((e * f).sum(1), -1, 1))
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, k], face[:, axis] * angle, len(vertices))
    found = _unit(total)
    lost = ~found.any(1)
    if lost.any():
        found[lost] = vertex_normals(vertices, faces)[lost]
    return found


def _unit(x: np.ndarray) -> np.ndarray:
    squares = x * x  # column by column: numpy is slow along short rows
    length = np.sqrt(squares[..., 0] + squares[..., 1] + squares[..., 2])[..., None]
    return np.divide(x, length, out=np.zeros_like(x), where=length > 1e-30)

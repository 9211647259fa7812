"""One head to render: geometry in the canonical frame and what its surface looks like. NumPy only.

Canonical frame (shared by the ICT model and the avatars): +Y up, +Z out of the face, +X to the subject's left, one
unit is 140 mm, the origin in the middle of the head; the nose tip is near (0, -0.31, 0.87).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Subject:
    """Per-vertex unless said otherwise. ``template`` is the canonical coordinate the network must name."""

    vertices: np.ndarray  # [V, 3] float32
    faces: np.ndarray  # [F, 3] int32
    template: np.ndarray  # [V, 3] float32
    weld: np.ndarray  # [V] int32: vertices at one place share a number, so seams do not show in the normals
    albedo: np.ndarray  # [V, 3] float32 linear; multiplies the texture where there is one
    bump: np.ndarray  # [V] float32: height of the relief
    kind: np.ndarray  # [V] int32: relief kind, see raster.py
    gloss: np.ndarray  # [V] float32
    uv: np.ndarray  # [F, 3, 2] float32
    texture_id: np.ndarray  # [F] int32, -1: none
    textures: np.ndarray  # [T, s, s, 3] float32 linear
    normals: np.ndarray = field(default_factory=lambda: np.zeros((0, 3), np.float32))  # [V, 3]

    def update_normals(self) -> None:
        self.normals = vertex_normals(self.vertices, self.faces, self.weld)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, weld: np.ndarray) -> np.ndarray:
    """Area-weighted vertex normals [V, 3] of faces [F, 3], shared over welded vertices."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    normal = np.cross(b - a, c - a)
    count = int(weld.max()) + 1
    total = np.zeros((count, 3))
    for corner in range(3):
        index = weld[faces[:, corner]]
        for axis in range(3):
            total[:, axis] += np.bincount(index, normal[:, axis], count)
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return total[weld].astype(np.float32)


def weld_index(vertices: np.ndarray, tolerance: float = 5e-5) -> np.ndarray:  # [V, 3] -> [V] int32
    """A number for every place in space; vertices closer than the tolerance share it."""
    key = np.round(vertices / tolerance).astype(np.int64)
    _, inverse = np.unique(key, axis=0, return_inverse=True)
    return inverse.reshape(-1).astype(np.int32)


def joined(parts: list[Subject]) -> Subject:
    """Several parts as one subject. Only the first may have textures."""
    if len(parts) == 1:
        return parts[0]
    offset = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    weld_offset = np.cumsum([0] + [int(p.weld.max()) + 1 for p in parts[:-1]])

    def stack(name: str) -> np.ndarray:
        return np.concatenate([getattr(p, name) for p in parts])

    return Subject(
        vertices=stack("vertices"),
        faces=np.concatenate([p.faces + o for p, o in zip(parts, offset, strict=True)]).astype(np.int32),
        template=stack("template"),
        weld=np.concatenate([p.weld + o for p, o in zip(parts, weld_offset, strict=True)]).astype(np.int32),
        albedo=stack("albedo"),
        bump=stack("bump"),
        kind=stack("kind"),
        gloss=stack("gloss"),
        uv=stack("uv"),
        texture_id=stack("texture_id"),
        textures=parts[0].textures,
    )

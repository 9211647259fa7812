"""Shape variety: warps, hair caps, and parts beside the head (garments, buns, beards, crowns, glasses)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .noise import noise
from .raster import FOLDS, LUMPS, STRANDS
from .subject import Subject, vertex_normals


@dataclass(frozen=True, eq=False)
class Material:
    """What a part is made of, all over."""

    colour: np.ndarray  # [3] linear
    kind: int  # of relief, see raster.py
    bump: float  # its height
    gloss: float = 0.05


def warped(vertices: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """A smooth random deformation of [V, 3] (units of the canonical frame), so one avatar is many people."""
    scale = (1 + strength * rng.uniform(-0.1, 0.1, 3)).astype(np.float32)
    out = vertices * scale
    for axis in range(3):
        amount = strength * rng.uniform(0, 0.06)
        out[:, axis] += amount * noise(vertices, rng, [1.1, 2.3], [1, 0.6])
    for _ in range(rng.integers(0, 4)):  # local swelling: noses, chins, cheeks, skulls
        centre = vertices[rng.integers(len(vertices))]
        width = rng.uniform(0.15, 0.5)
        weight = np.exp(-((vertices - centre) ** 2).sum(1) / (2 * width**2))[:, None]
        out += weight * (strength * rng.normal(0, 0.035, 3) + (vertices - centre) * strength * rng.normal(0, 0.1))
    return out.astype(np.float32)


def tube(profile: np.ndarray, sides: int, material: Material) -> Subject:
    """A surface swept from a profile [K, 5]: height, radius in x, radius in z, centre in x, centre in z."""
    k = len(profile)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    x = profile[:, 3:4] + profile[:, 1:2] * np.sin(angle)
    z = profile[:, 4:5] + profile[:, 2:3] * np.cos(angle)
    y = np.repeat(profile[:, :1], sides, 1)
    vertices = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    i, j = np.meshgrid(np.arange(k - 1), np.arange(sides), indexing="ij")
    a, b = i * sides + j, i * sides + (j + 1) % sides
    c, d = a + sides, b + sides
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return part(vertices, faces.astype(np.int32), material)


def part(vertices: np.ndarray, faces: np.ndarray, material: Material) -> Subject:
    """A subject of one material from a closed mesh."""
    n, f = len(vertices), len(faces)
    return Subject(
        vertices=vertices,
        faces=faces,
        template=vertices.copy(),
        weld=np.arange(n, dtype=np.int32),
        albedo=np.tile(np.asarray(material.colour, np.float32), (n, 1)),
        bump=np.full(n, material.bump, np.float32),
        kind=np.full(n, material.kind, np.int32),
        gloss=np.full(n, material.gloss, np.float32),
        uv=np.zeros((f, 3, 2), np.float32),
        texture_id=np.full(f, -1, np.int32),
        textures=np.zeros((1, 2, 2, 3), np.float32),
    )


def blob(
    centre: Sequence[float],
    radii: Sequence[float] | np.ndarray,
    rng: np.random.Generator,
    material: Material,
    roughness: float = 0.12,
) -> Subject:
    """An ellipsoid with lumps: a bun, a pony tail, long hair, a beard."""
    rows = 22
    polar = np.linspace(0.02, np.pi - 0.02, rows)
    profile = np.stack([-np.cos(polar), np.sin(polar), np.sin(polar), 0 * polar, 0 * polar], 1)
    subject = tube(profile, 36, material)
    unit = subject.vertices
    swell = 1 + roughness * noise(unit + rng.uniform(-9, 9, 3), rng, [1.5, 4.0], [1, 0.5])
    subject.vertices = (unit * swell[:, None] * np.asarray(radii) + np.asarray(centre)).astype(np.float32)
    subject.template = subject.vertices.copy()
    return subject


def garment(rng: np.random.Generator, neck_y: float, neck_z: float, neck_r: float) -> Subject:
    """Shoulders and a collar: an elliptic tube from the chest to the neck, with folds."""
    width, depth = rng.uniform(1.0, 1.6), rng.uniform(0.5, 0.8)
    top = neck_y + rng.uniform(-0.15, 0.2)
    flare = rng.uniform(1.05, 1.5)
    heights = np.array([-1.2, -0.8, -0.5, -0.3, -0.18, -0.1, -0.04, 0.02, 0.1])
    widths = np.array([1.0, 1.0, 0.97, 0.85, 0.65, 0.45, 0.0, 0.0, 0.0]) * width
    depths = np.array([1.0, 0.98, 0.92, 0.82, 0.72, 0.6, 0.0, 0.0, 0.0]) * depth
    collar = neck_r * flare * np.array([0, 0, 0, 0, 0, 0, 1.12, 1.02, 1.0])
    use = slice(0, 6 if rng.random() < 0.3 else 9)
    rx, rz = np.maximum(widths, collar), np.maximum(depths, collar)
    rx[5], rz[5] = max(rx[5], collar[6]), max(rz[5], collar[6])
    profile = np.stack([top + heights, rx, rz, 0 * rx, neck_z + 0 * rx], 1)[use]
    fine = np.linspace(0, len(profile) - 1, 40)
    profile = np.stack([np.interp(fine, np.arange(len(profile)), profile[:, i]) for i in range(5)], 1)
    colour = rng.uniform(0.02, 0.9) * (1 - rng.uniform(0, 0.6, 3) * (rng.random() < 0.6))
    subject = tube(profile, 64, Material(colour, FOLDS, rng.uniform(0, 0.03), rng.uniform(0, 0.1)))
    shift = rng.uniform(0, 0.05) * noise(subject.vertices, rng, [2, 5], [1, 0.6])
    normals = vertex_normals(subject.vertices, subject.faces, subject.weld)
    subject.vertices = (subject.vertices + normals * shift[:, None]).astype(np.float32)
    subject.template = subject.vertices.copy()
    return subject


def headgear(rng: np.random.Generator) -> Subject:
    """A crown, hat, cap or turban: a tube on top of the head, domed, flat or flaring."""
    base = rng.uniform(0.15, 0.45)
    tall = rng.uniform(0.35, 1.1)
    r0 = rng.uniform(0.74, 0.9)
    flare = rng.uniform(0.75, 1.35)
    dome = rng.random() < 0.6
    s = np.linspace(0, 1, 24)
    side = r0 * (1 + (flare - 1) * s)
    if dome:
        side = side * np.sqrt(np.clip(1 - s**2.5, 0, 1))
    height, cap = base + tall * s, side[-1]
    lid = np.linspace(1, 0.01, 8)[1:]
    height = np.concatenate([height, np.full(7, height[-1])])
    radius = np.concatenate([side, cap * lid])
    lean = rng.uniform(-0.45, 0.1)
    centre_z = -0.05 + lean * (height - base)
    profile = np.stack([height, radius * rng.uniform(0.85, 1), radius * 1.08, 0 * radius, centre_z], 1)
    if rng.random() < 0.35:  # a brim
        brim = np.array([[base - 0.02, r0 * rng.uniform(1.15, 1.7), r0 * rng.uniform(1.15, 1.7), 0, -0.05]])
        profile = np.concatenate([brim, profile])
    colour = rng.uniform(0.03, 0.8) * (1 - rng.uniform(0, 0.7, 3))
    kind = int(rng.choice([FOLDS, LUMPS, STRANDS]))
    return tube(profile, 64, Material(colour, kind, rng.uniform(0, 0.02), rng.uniform(0, 0.3)))


def ring(
    centre: np.ndarray, radii: tuple[float, float], thick: float, material: Material, tilt: float = 0.0
) -> Subject:
    """A torus in the x-y plane: one rim of a pair of glasses, an ear ring."""
    u = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    v = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    cu, su, cv, sv = np.cos(u)[:, None], np.sin(u)[:, None], np.cos(v)[None], np.sin(v)[None]
    x = (radii[0] + thick * cv) * cu
    y = (radii[1] + thick * cv) * su
    z = thick * sv + 0 * cu + tilt * x
    vertices = (np.stack([x, y, z], -1).reshape(-1, 3) + np.asarray(centre)).astype(np.float32)
    i, j = np.meshgrid(np.arange(28), np.arange(8), indexing="ij")
    a, b = i * 8 + j, ((i + 1) % 28) * 8 + j
    c, d = i * 8 + (j + 1) % 8, ((i + 1) % 28) * 8 + (j + 1) % 8
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return part(vertices, faces.astype(np.int32), material)


def glasses(rng: np.random.Generator, left_eye: np.ndarray, right_eye: np.ndarray) -> list[Subject]:
    """Two rims in front of the eyes (no lenses: glass shows the eye behind it)."""
    material = Material(np.full(3, rng.uniform(0.01, 0.6)), LUMPS, 0.0, rng.uniform(0, 0.4))
    rx, ry, thick = rng.uniform(0.15, 0.21), rng.uniform(0.11, 0.19), rng.uniform(0.008, 0.022)
    out = []
    for eye, side in ((left_eye, 1), (right_eye, -1)):
        out.append(ring(eye + np.array([side * 0.02, -0.02, 0.13]), (rx, ry), thick, material, tilt=-0.15 * side))
        temple = ring(eye + np.array([side * 0.2, 0.02, -0.3]), (0.012, thick), thick, material)
        temple.vertices[:, 2] = eye[2] - 0.3 + (temple.vertices[:, 2] - (eye[2] - 0.3)) * 0.42 / thick
        temple.template = temple.vertices.copy()
        out.append(temple)
    return out

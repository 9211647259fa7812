"""Who is in front of the cameras: a random subject from the ICT model or an avatar, with skin, hair, clothes or
marble."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .models import AvatarModel, IctModel
from .noise import noise
from .raster import FOLDS, LUMPS, STRANDS
from .shapes import Material, blob, garment, glasses, headgear, warped
from .subject import Subject, joined, vertex_normals

STATUE_COLOURS = np.array(
    [  # linear albedo: plaster, marble, sandstone, terracotta, bronze, dark stone, clay
        [0.8, 0.79, 0.76],
        [0.75, 0.74, 0.72],
        [0.6, 0.5, 0.38],
        [0.5, 0.25, 0.15],
        [0.25, 0.17, 0.08],
        [0.12, 0.12, 0.13],
        [0.45, 0.43, 0.41],
    ]
)


@dataclass(frozen=True, eq=False)
class Appearance:
    """A subject and the properties that hold for all of its surface."""

    subject: Subject
    grain: float  # albedo noise
    frequency: np.ndarray  # [4] relief frequency by kind
    spec_power: float
    statue: bool


def skin_colour(rng: np.random.Generator) -> np.ndarray:  # [3] linear
    """A random colour of skin."""
    red = rng.uniform(0.08, 0.8)
    green = red * rng.uniform(0.5, 0.82)
    return np.array([red, green, green * rng.uniform(0.55, 0.95)])


def hair_colour(rng: np.random.Generator) -> np.ndarray:  # [3] linear
    """A random colour of hair."""
    return rng.uniform(0.01, 0.1) ** rng.uniform(0.4, 1.0) * np.array([1, rng.uniform(0.6, 1), rng.uniform(0.3, 1)])


def draw_subject(rng: np.random.Generator, ict: IctModel | None, avatars: list[AvatarModel]) -> Appearance:
    """One random subject. Half from each source where both are given."""
    statue = rng.random() < 0.2
    if ict is not None and avatars and not rng.random() < 0.5:
        ict = None
    use_ict = ict is not None
    if ict is None:
        subject = _avatar_subject(rng, avatars[rng.integers(len(avatars))], statue)
    else:
        subject = _ict_subject(rng, ict)
    parts = [subject]
    if ict is not None:
        landmarks = subject.template[ict.landmarks] * 0 + subject.vertices[ict.landmarks]
        left, right = landmarks[42:48].mean(0), landmarks[36:42].mean(0)
    else:
        left, right = np.array([0.228, 0.02, 0.68]), np.array([-0.228, 0.02, 0.68])
    if rng.random() < 0.12 and use_ict:
        parts += glasses(rng, left, right)
    if rng.random() < (0.2 if statue else 0.08):
        parts.append(headgear(rng))
    if use_ict and rng.random() < 0.75:
        parts.append(garment(rng, -1.05, -0.25, 0.48))
    if use_ict and rng.random() < 0.3:
        parts += _extra_hair(rng)
    subject = joined(parts)
    if statue:
        colour = STATUE_COLOURS[rng.integers(len(STATUE_COLOURS))] * rng.uniform(0.7, 1.2)
        veins = noise(subject.template, rng, [2.5, 6, 17], [0.5, 0.4, 0.3])
        subject.albedo = (colour * (1 + rng.uniform(0, 0.35) * veins[:, None])).clip(0.01, 0.95).astype(np.float32)
        subject.texture_id = np.full_like(subject.texture_id, -1)
        subject.gloss = np.full_like(subject.gloss, rng.choice([0.0, 0.03, 0.12, 0.4]))
        subject.bump = subject.bump + np.float32(rng.uniform(0, 0.006))
    subject.update_normals()
    frequency = np.array(
        [
            rng.uniform(9, 30),
            rng.uniform(14, 45),
            rng.uniform(3, 9),
            rng.uniform(7, 22),
        ]
    )
    return Appearance(subject, rng.uniform(0, 0.15), frequency, float(rng.uniform(8, 60)), statue)


def scanned_appearance(subject: Subject) -> Appearance:
    """A scan as it is: no relief, no grain, no statue."""
    return Appearance(subject, 0.0, np.full(4, 10.0), 20.0, False)


def _extra_hair(rng: np.random.Generator) -> list[Subject]:
    hair = Material(hair_colour(rng), STRANDS, rng.uniform(0.005, 0.03))
    choice = rng.integers(4)
    if choice == 0:  # bun
        centre = [rng.normal(0, 0.1), rng.uniform(-0.1, 0.9), -rng.uniform(0.6, 0.9)]
        return [blob(centre, rng.uniform(0.2, 0.42, 3), rng, hair)]
    if choice == 1:  # long hair behind
        centre = [0, rng.uniform(-0.7, -0.2), -rng.uniform(0.35, 0.6)]
        radii = [rng.uniform(0.55, 0.95), rng.uniform(0.7, 1.2), rng.uniform(0.3, 0.5)]
        return [blob(centre, radii, rng, hair)]
    if choice == 2:  # side locks
        radii = [rng.uniform(0.1, 0.25), rng.uniform(0.5, 1.0), rng.uniform(0.15, 0.4)]
        y, z = rng.uniform(-0.6, -0.1), rng.uniform(-0.3, 0.2)
        return [blob([s * rng.uniform(0.6, 0.75), y, z], radii, rng, hair) for s in (-1, 1)]
    radii = [rng.uniform(0.3, 0.5), rng.uniform(0.25, 0.6), rng.uniform(0.2, 0.35)]  # beard
    return [blob([0, -0.85 - rng.uniform(0, 0.3), 0.42], radii, rng, hair, roughness=0.2)]


def _avatar_subject(rng: np.random.Generator, avatar: AvatarModel, statue: bool) -> Subject:
    n = len(avatar.vertices)
    keep = np.ones(len(avatar.faces), bool)
    if rng.random() < 0.7:  # busts are cut anywhere between the neck and the arms
        middle = avatar.vertices[avatar.faces].mean(1)
        keep = (middle[:, 1] > rng.uniform(-2.1, -1.0)) & (np.abs(middle[:, 0]) < rng.uniform(0.85, 1.8))
    vertices = warped(avatar.vertices, rng, rng.uniform(0, 1.3))
    tint = rng.uniform(0.6, 1.25) * (1 + rng.uniform(-0.12, 0.12, 3))
    return Subject(
        vertices=vertices,
        faces=avatar.faces[keep],
        template=avatar.vertices,
        weld=avatar.weld,
        albedo=np.tile(tint.astype(np.float32), (n, 1)),
        bump=np.full(n, rng.choice([0, rng.uniform(0, 0.004), rng.uniform(0, 0.008)]), np.float32),
        kind=np.full(n, LUMPS if statue and rng.random() < 0.5 else 0, np.int32),
        gloss=np.full(n, avatar.gloss * rng.uniform(0, 2), np.float32),
        uv=avatar.uv[keep],
        texture_id=avatar.texture_id[keep],
        textures=avatar.textures,
    )


def ict_shape(rng: np.random.Generator, ict: IctModel) -> np.ndarray:
    """Identity and expression: [V, 3]."""
    w = rng.normal(0, rng.choice([0.8, 1.0, 1.25]), len(ict.identity)).astype(np.float32)
    shape = ict.mean + np.tensordot(w, ict.identity, 1)
    weights = np.zeros(len(ict.expression), np.float32)
    if rng.random() < 0.6:
        k = rng.integers(1, 5)
        weights[rng.choice(len(weights), k, replace=False)] = rng.uniform(0, 0.9, k)
    lids = rng.random()
    if lids < 0.2:  # closed or half-closed eyes
        weights[list(ict.blink)] = 1.0 if lids < 0.12 else rng.uniform(0.2, 0.8)
    elif lids < 0.23:
        weights[ict.blink[0]] = 1.0
    if weights.any():
        shape = shape + np.tensordot(weights[weights > 0], ict.expression[weights > 0], 1)
    return shape.astype(np.float32)


def _ict_subject(rng: np.random.Generator, ict: IctModel) -> Subject:
    template, count = ict.mean, len(ict.mean)
    vertices = ict_shape(rng, ict)
    if rng.random() < 0.6:
        vertices = warped(vertices, rng, rng.uniform(0, 1))
    face, head, iris, sclera = ict.part == 0, ict.part == 1, ict.part == 6, ict.part == 5
    skin, hair = skin_colour(rng), hair_colour(rng)
    tone = noise(template, rng, [3, 8, 25], [0.5, 0.4, 0.3])
    albedo = skin * (1 + rng.uniform(0.05, 0.25) * tone[:, None])
    redness = np.clip(noise(template, rng, [2.5, 5], [1, 0.5]), 0, 1)[:, None] * rng.uniform(0, 0.4)
    albedo *= 1 - redness * np.array([0, 0.5, 0.4])
    albedo = _paint_face(rng, ict, albedo, skin, hair)
    bump = np.full(count, rng.uniform(0, 0.007) * (rng.random() < 0.8), np.float32)
    kind, gloss = np.zeros(count, np.int32), np.full(count, rng.uniform(0, 0.25), np.float32)
    eyes = ict.part >= 5
    albedo[sclera] = rng.uniform(0.4, 0.75)
    albedo[iris] = rng.uniform(0.02, 0.3, 3)
    albedo[ict.part == 7] = 0.01
    albedo[ict.part == 4] = rng.uniform(0.4, 0.8) * np.array([1, 0.93, 0.8])
    albedo[(ict.part == 2) | (ict.part == 3)] = np.array([0.35, 0.1, 0.1]) * rng.uniform(0.4, 1.2)
    bump[eyes | (ict.part == 4)] = 0
    gloss[eyes] = rng.uniform(0.1, 0.8)
    cap = _hair_mask(rng, template) * (face | head)
    style = rng.random()
    if style < 0.7:  # hair with volume
        normals = vertex_normals(vertices, ict.faces, ict.weld)
        lumps = noise(template, rng, [3, 7, 16], [1, 0.7, 0.4])
        heavy = rng.uniform(0.02, 0.2) + rng.uniform(0, 0.07) * lumps
        vertices = vertices + normals * (cap * np.maximum(heavy, 0.01))[:, None].astype(np.float32)
        kind[cap > 0.5] = STRANDS if rng.random() < 0.7 else LUMPS
        bump = np.where(cap > 0.2, cap * rng.uniform(0.004, 0.03), bump).astype(np.float32)
    if style < 0.85:
        shade = (1 + 0.5 * noise(template, rng, [9, 30], [0.6, 0.6]))[:, None]
        albedo = albedo * (1 - cap[:, None]) + cap[:, None] * hair * shade
        gloss = np.where(cap > 0.5, rng.uniform(0, 0.15), gloss).astype(np.float32)
    if rng.random() < 0.3 and not head.all():
        folds = (template[:, 1] < -1.0) & head
        kind[folds] = FOLDS
    faces = len(ict.faces)
    return Subject(
        vertices=vertices.astype(np.float32),
        faces=ict.faces,
        template=template,
        weld=ict.weld,
        albedo=albedo.clip(0.005, 0.95).astype(np.float32),
        bump=bump,
        kind=kind,
        gloss=gloss,
        uv=np.zeros((faces, 3, 2), np.float32),
        texture_id=np.full(faces, -1, np.int32),
        textures=np.zeros((1, 2, 2, 3), np.float32),
    )


def _hair_mask(rng: np.random.Generator, template: np.ndarray) -> np.ndarray:  # [V] 0..1
    """Scalp above a hairline that drops behind the ears; the edge is soft and uneven."""
    line = rng.uniform(0.3, 0.75)
    y, z = template[:, 1], template[:, 2]
    back = np.clip((0.45 - z) / 0.5, 0, 1)
    edge = line - back * rng.uniform(0.6, 1.3) + 0.08 * noise(template, rng, [3, 9], [1, 0.5])
    return np.clip((y - edge) / rng.uniform(0.03, 0.15), 0, 1)


def _paint_face(
    rng: np.random.Generator, ict: IctModel, albedo: np.ndarray, skin: np.ndarray, hair: np.ndarray
) -> np.ndarray:
    """Lips, brows, stubble, make-up: all by distance to landmarks on the template."""
    landmarks, face = ict.mean[ict.landmarks], np.flatnonzero(ict.part == 0)
    points = ict.mean[face]

    def near(chosen: list[int], steps: int, closed: bool) -> np.ndarray:
        line = landmarks[chosen + ([chosen[0]] if closed else [])]
        pairs = zip(line[:-1], line[1:], strict=True)
        fine = np.concatenate([np.linspace(a, b, steps, endpoint=False) for a, b in pairs])
        return np.sqrt(((points[:, None] - fine[None]) ** 2).sum(-1)).min(1)

    def blend(weight: np.ndarray, colour: np.ndarray) -> None:
        albedo[face] = albedo[face] * (1 - weight[:, None]) + weight[:, None] * colour

    outer, inner = list(range(48, 60)), list(range(60, 68))
    lips = np.clip((0.055 - np.minimum(near(outer, 4, True), near(inner, 4, True))) / 0.02, 0, 1)
    weight = lips * rng.uniform(0.4, 1)
    blend(weight, skin * np.array([rng.uniform(0.8, 1.1), rng.uniform(0.4, 0.85), rng.uniform(0.45, 0.9)]))
    if rng.random() < 0.9:
        wide = rng.uniform(0.03, 0.07)
        for brow in (range(17, 22), range(22, 27)):
            distance = near(list(brow), 6, False) + 0.015 * noise(points, rng, [30], [1])
            blend(np.clip((wide - distance) / 0.03, 0, 1) * rng.uniform(0.3, 1), hair * 0.9 + 0.05 * skin)
    if rng.random() < 0.35:
        jaw = (points[:, 1] < rng.uniform(-0.45, -0.3)) & (points[:, 2] > 0.05)
        weight = np.clip(0.7 + noise(points, rng, [4, 40], [0.4, 0.6]), 0, 1) * rng.uniform(0.1, 0.7)
        blend(weight * jaw * (lips < 0.1), hair)
    if rng.random() < 0.25:
        eyes = np.minimum(near(list(range(36, 42)), 4, True), near(list(range(42, 48)), 4, True))
        blend(np.clip((0.1 - eyes) / 0.06, 0, 1) * rng.uniform(0.1, 0.6), skin * rng.uniform(0.2, 0.7, 3))
    return albedo

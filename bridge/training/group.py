"""One training example: a subject seen by several cameras, as arrays. A pure function of its seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from .appearance import Appearance, draw_subject, scanned_appearance
from .models import AvatarModel, IctModel, load_avatars, load_ict
from .raster import rasterise, shade
from .scans import Scan, load_scans
from .staging import HeadCamera, Lighting, Response, background, cameras, light

CANONICAL_RANGE = 2.0  # canonical coordinates are stored as int8 over -2..2


@dataclass(frozen=True, eq=False)
class World:
    """What groups are made from."""

    ict: IctModel | None
    avatars: list[AvatarModel]
    scans: list[Scan] = field(default_factory=list)

    @staticmethod
    def load(data: Path, held_out: bool = False, scans: Path | None = None) -> World:
        """scans: a folder of textured meshes; they are half of what is then shown."""
        ict, avatars = load_ict(data / "ict_facekit.npz"), load_avatars(data / "training_heads", held_out)
        return World(ict, avatars, load_scans(scans) if scans else [])


@dataclass(frozen=True, eq=False)
class Group:
    """m views of one head by head cameras (square, upright, looking at the head)."""

    image: np.ndarray  # [m, s, s, 3] uint8 sRGB
    normal: np.ndarray  # [m, s, s, 3] int8, unit * 127, camera space, OpenGL axes; 0 outside
    canonical: (
        np.ndarray
    )  # [m, s, s, 3] int8; 0 outside and where it is not known (no surface passes the middle of a head)
    matte: np.ndarray  # [m, s, s] uint8
    rotation: np.ndarray  # [m, 3, 3] float32 world -> camera (OpenCV)
    distance: np.ndarray  # [m] float32 camera to head centre in radii


def make_group(
    seed: int, world: World, views: int, size: int, *, oversample: float = 1.5, kind: str | None = None
) -> Group:
    """kind: of the rig, if it is not to be drawn too (staging.RIGS)."""
    rng = np.random.default_rng(seed)
    only_scans = world.ict is None and not world.avatars
    shown = bool(world.scans) and (only_scans or rng.random() < 0.5)
    scan = world.scans[rng.integers(len(world.scans))] if shown else None
    appearance = scanned_appearance(scan.subject) if scan else draw_subject(rng, world.ict, world.avatars)
    subject = appearance.subject
    lighting = Lighting.none(len(subject.vertices)) if scan else light(rng, subject, appearance.statue)
    subject.bump = subject.bump * np.float32(relief_strength(rng, lighting.lit))
    response, shared = Response.draw(rng), rng.random() < 0.6
    backdrop = background(rng, size)
    fine = int(round(size * oversample))
    m = views
    out = Group(
        np.zeros((m, size, size, 3), np.uint8),
        np.zeros((m, size, size, 3), np.int8),
        np.zeros((m, size, size, 3), np.int8),
        np.zeros((m, size, size), np.uint8),
        np.zeros((m, 3, 3), np.float32),
        np.zeros(m, np.float32),
    )
    seed_relief = int(rng.integers(1 << 20))
    rig = scan.cameras(rng, m) if scan else cameras(rng, subject, m, kind)
    maps = [render(appearance, lighting, camera, fine, seed_relief) for camera in rig]
    if lighting.lit:  # one exposure for the rig, by its brightest view: a face is not white because hair was metered
        levels = [float(np.percentile(rgb[matte > 0].mean(-1), 90)) for rgb, _, _, matte in maps if matte.any()]
        metering = rng.uniform(0.35, 1.1) / max([1e-3, *levels])
    else:
        metering = rng.uniform(0.6, 1.2)
    for i, (camera, (rgb, normal, canonical, matte)) in enumerate(zip(rig, maps, strict=True)):
        rgb, normal, canonical, matte = (
            cv2.resize(x, (size, size), interpolation=cv2.INTER_AREA) for x in (rgb, normal, canonical, matte)
        )
        cover = np.maximum(matte, 1e-6)[..., None]
        picture = response.develop(rgb / cover, metering * float(np.exp(rng.normal(0, 0.04))))
        behind = backdrop if shared else background(rng, size)
        picture = picture * matte[..., None] + behind * (1 - matte[..., None])
        out.image[i] = photograph(rng, picture)
        length = np.linalg.norm(normal, axis=-1, keepdims=True)
        inside = (matte > 0.5)[..., None]
        known = inside & (scan is None)
        out.normal[i] = np.round(127 * np.where(inside, normal / np.maximum(length, 1e-6), 0))
        out.canonical[i] = np.where(known, np.round(canonical / cover * (127 / CANONICAL_RANGE)).clip(-127, 127), 0)
        out.matte[i] = np.round(255 * matte)
        out.rotation[i], out.distance[i] = camera.R, camera.distance
    return out


Maps = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def relief_strength(rng: np.random.Generator, lit: bool) -> float:
    """Factor of the relief in the normals. Meshes that results are compared with carry little of it, and relief that
    neither light nor the pixels of the photograph show cannot be learnt: it only teaches noise."""
    strength = 0.0 if rng.random() < 0.4 else rng.uniform(0, 0.6)
    return strength if lit else 0.2 * strength


def render(appearance: Appearance, lighting: Lighting, camera: HeadCamera, size: int, seed: int) -> Maps:
    """Linear colour, normal, canonical point [s, s, 3] and matte [s, s] of one view, float32, not anti-aliased."""
    subject = appearance.subject
    R, position = camera.R.astype(np.float32), camera.position.astype(np.float32)
    in_camera = (subject.vertices - position) @ R.T
    projected = np.empty_like(in_camera)
    near = np.maximum(in_camera[:, 2], 1e-3)
    projected[:, 0] = in_camera[:, 0] / near * (camera.focal * size) + size / 2
    projected[:, 1] = in_camera[:, 1] / near * (camera.focal * size) + size / 2
    projected[:, 2] = np.where(in_camera[:, 2] > 0.05, 1 / near, -1)
    depth, triangle = np.zeros((size, size), np.float32), np.full((size, size), -1, np.int32)
    rasterise(projected, subject.faces, size, size, depth, triangle)
    rgb, normal, canonical = (np.zeros((size, size, 3), np.float32) for _ in range(3))
    matte = np.zeros((size, size), np.float32)
    shade(
        triangle,
        depth,
        projected,
        subject.faces,
        subject.vertices,
        subject.normals,
        subject.template,
        subject.albedo,
        lighting.light_on,
        lighting.ambient_on,
        subject.gloss,
        subject.bump,
        subject.kind,
        subject.uv,
        subject.texture_id,
        subject.textures,
        R,
        position,
        lighting.directions,
        lighting.colours,
        lighting.sky,
        lighting.ground,
        lighting.fill,
        lighting.lit,
        appearance.spec_power,
        appearance.grain,
        seed,
        appearance.frequency.astype(np.float32),
        rgb,
        normal,
        canonical,
        matte,
    )
    return rgb, normal, canonical, matte


def photograph(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:  # sRGB float -> uint8
    """Blur, sensor noise and JPEG of a real camera."""
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.2))
    if rng.random() < 0.6:
        picture = picture + rng.normal(0, rng.uniform(0.002, 0.03), picture.shape)
    image = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])
        image = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
    return image

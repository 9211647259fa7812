"""Photographs of textured heads by the bridge's own rasteriser, with any rig: captures whose cameras are exact."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from bridge.cameras import Camera
from bridge.mesh.normals import vertex_normals
from bridge.raster import make_rasteriser

OVERSAMPLE = 2


def rig(rng: np.random.Generator, views: int, size: int, center: np.ndarray, radius: float) -> list[Camera]:
    """A rig as people build them: a frontal arc, a full ring or a dome; own lens, aim and roll for every camera."""
    kind = rng.choice(["arc", "ring", "dome"])
    distance = radius * rng.uniform(3.5, 8)
    cameras = []
    for i in range(views):
        if kind == "arc":
            yaw, pitch = np.radians(np.linspace(-100, 100, views)[i] + rng.normal(0, 5)), np.radians(rng.normal(0, 14))
        elif kind == "ring":
            yaw, pitch = 2 * np.pi * i / views + rng.normal(0, 0.1), np.radians(rng.normal(5, 12))
        else:
            yaw, pitch = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(-25, 55))
        away = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
        eye = center + distance * rng.uniform(0.92, 1.08) * away
        aim = center + radius * rng.normal(0, 0.05, 3)
        forward = (aim - eye) / np.linalg.norm(aim - eye)
        right = np.cross(forward, [0, 1.0, 0])
        right /= np.linalg.norm(right)
        roll = np.radians(rng.normal(0, 4))
        down = np.cross(forward, right)
        R = np.stack([np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right, forward])
        f = size * np.linalg.norm(aim - eye) / (2.6 * radius) * rng.uniform(0.97, 1.03)
        pp = size / 2 + rng.normal(0, 0.01 * size, 2)
        K = np.array([[f, 0, pp[0]], [0, f, pp[1]], [0, 0, 1.0]])
        cameras.append(Camera(f"cam{i:02d}", K, R, -R @ eye, size, size))
    return cameras


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """Vertices in canonical units, faces, corner UVs [F, 3, 2], texture of each face, textures (sRGB 0..1)."""
    record = json.loads((folder / "head.json").read_text(encoding="utf-8"))
    data = np.load(folder / record["npz"])
    scale = record["mm_per_native_unit"] / record["mm_per_unit"]
    vertices = (data["vertices"] @ np.asarray(record["axes"]).T - np.asarray(record["center"])) * scale
    faces = data["faces"].astype(np.int32)
    which = data["face_texture"].astype(int) if "face_texture" in data.files else np.zeros(len(faces), int)
    textures = [
        cv2.imread(str(folder / entry["file"]))[..., ::-1].astype(np.float32) / 255 for entry in record["textures"]
    ]
    return vertices, faces, data["uv"][data["faces_uv"]], which, textures


def photographs(
    folder: Path, seed: int, views: int = 8, size: int = 640
) -> tuple[list[Camera], list[np.ndarray], list[np.ndarray]]:
    """Cameras, photographs [s, s, 3] sRGB 0..1 and exact mattes [s, s] of one head; all but exact lighting."""
    rng = np.random.default_rng(seed)
    vertices, faces, uv, which, textures = load(folder)
    normals = vertex_normals(vertices, faces)
    center = (vertices.min(0) + vertices.max(0)) / 2
    radius = float(np.linalg.norm(np.ptp(vertices, axis=0)) / 2) * 0.62
    cameras = rig(rng, views, size, center, radius)
    corners = faces.reshape(-1)
    attributes = np.concatenate([uv.reshape(-1, 2), np.repeat(which, 3)[:, None], normals[corners]], axis=1).astype(
        np.float32
    )
    fine = [camera.resize(OVERSAMPLE * size, OVERSAMPLE * size) for camera in cameras]
    split = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    key = rng.normal(size=3) * [1, 0.5, 1] + [0, 0.8, 0]
    key /= np.linalg.norm(key)
    backdrop = rng.uniform(0.1, 0.9, 3)
    photos, mattes = [], []
    for camera in fine:
        shot = make_rasteriser("cpu", [camera]).render(vertices[corners], split, attributes)
        found, hit = shot.attributes[0], shot.triangle[0] >= 0
        colour = np.zeros((*hit.shape, 3), np.float32)
        for t, texture in enumerate(textures):
            x = ((found[..., 0] % 1) * texture.shape[1] - 0.5).astype(np.float32)
            y = (((1 - found[..., 1]) % 1) * texture.shape[0] - 0.5).astype(np.float32)
            here = hit & (np.rint(found[..., 2]) == t)
            colour[here] = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)[here]
        light = 0.55 + 0.45 * np.clip(found[..., 3:6] @ key.astype(np.float32), 0, None)
        picture = np.where(hit[..., None], colour * light[..., None], backdrop.astype(np.float32))
        picture = cv2.resize(picture.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        picture += rng.normal(0, 0.008, picture.shape)
        photos.append(np.clip(picture, 0, 1).astype(np.float32))
        mattes.append(cv2.resize(hit.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA))
    return cameras, photos, mattes

"""A studio's own textured scans as training subjects (paper section 3.1: 48 views of every scan, six at a time).

Scans carry their light in their texture, so they are shown as they are. Their canonical coordinates are unknown and
are left out of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .staging import HeadCamera, cameras
from .subject import Subject, joined, weld_index

KINDS = (".obj", ".glb", ".gltf", ".ply")
VIEWS = 48
TEXTURE_SIZE = 1024


@dataclass(frozen=True, eq=False)
class Scan:
    """One head: geometry in units of about 140 mm around its middle, and the seed of its cameras."""

    name: str
    subject: Subject
    seed: int

    def cameras(self, rng: np.random.Generator, count: int) -> list[HeadCamera]:
        """Some of the scan's 48 cameras (Table S3: frontal), the same 48 whenever they are asked for."""
        fixed = cameras(np.random.default_rng(self.seed), self.subject, VIEWS, "frontal")
        return [fixed[i] for i in rng.choice(VIEWS, count, replace=count > VIEWS)]


def load_scans(folder: Path) -> list[Scan]:
    """Every mesh of a folder (.obj with its .mtl, .glb, .gltf, .ply with vertex colours), sorted by name.

    y is up and the face looks to +z, as in glTF. Raises ValueError naming the file that cannot be used."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in KINDS)
    if not files:
        raise ValueError(f"There is no scan ({', '.join(KINDS)}) in {folder}; choose another folder with --scans.")
    return [load_scan(path, 77_000 + i) for i, path in enumerate(files)]


def load_scan(path: Path, seed: int) -> Scan:
    """One scan, its parts joined and its scale made that of a head."""
    import trimesh

    try:
        loaded = trimesh.load(path, process=False)
        parts = loaded.dump() if isinstance(loaded, trimesh.Scene) else [loaded]
        meshes = [m for m in parts if isinstance(m, trimesh.Trimesh) and len(m.faces)]
    except Exception as error:  # trimesh raises whatever its many readers raise
        raise ValueError(f"The scan {path.name} cannot be read ({error}); export it again as .glb or .obj.") from error
    if not meshes:
        raise ValueError(f"The scan {path.name} holds no triangles; export the mesh, not points or curves.")
    points = np.concatenate([m.vertices[np.unique(m.faces)] for m in meshes])
    if not np.isfinite(points).all() or np.ptp(points[:, 1]) <= 0:
        raise ValueError(f"The scan {path.name} has no size or broken vertices; repair the mesh.")
    middle, scale = (points.min(0) + points.max(0)) / 2, 2 / np.ptp(points[:, 1])
    textures: list[np.ndarray] = []
    subject = joined([_part(m, middle, scale, textures) for m in meshes])
    subject.textures = np.stack(textures or [np.ones((2, 2, 3), np.float32)])
    subject.weld = weld_index(subject.vertices)
    subject.update_normals()
    return Scan(path.stem, subject, seed)


def _part(mesh, middle: np.ndarray, scale: float, textures: list[np.ndarray]) -> Subject:
    """A mesh of the scan; its texture, if it has one, is added to the list."""
    vertices, faces = ((mesh.vertices - middle) * scale).astype(np.float32), mesh.faces.astype(np.int32)
    n, f = len(vertices), len(faces)
    albedo, uv, number = np.full((n, 3), 0.5, np.float32), np.zeros((f, 3, 2), np.float32), -1
    image = _texture(mesh)
    if image is not None:
        textures.append(image)
        albedo[:], uv, number = 1, np.asarray(mesh.visual.uv, np.float32)[faces], len(textures) - 1
    elif mesh.visual.kind == "vertex":
        albedo = (np.asarray(mesh.visual.vertex_colors)[:, :3] / 255.0).astype(np.float32) ** 2.2
    return Subject(
        vertices=vertices,
        faces=faces,
        template=vertices,
        weld=np.arange(n, dtype=np.int32),
        albedo=albedo,
        bump=np.zeros(n, np.float32),
        kind=np.zeros(n, np.int32),
        gloss=np.zeros(n, np.float32),
        uv=uv,
        texture_id=np.full(f, number, np.int32),
        textures=np.ones((1, 2, 2, 3), np.float32),
    )


def _texture(mesh) -> np.ndarray | None:  # [s, s, 3] linear
    if mesh.visual.kind != "texture" or getattr(mesh.visual, "uv", None) is None:
        return None
    material = mesh.visual.material
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if image is None:
        return None
    picture = np.asarray(image.convert("RGB"), np.float32) / 255
    return cv2.resize(picture, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_AREA) ** 2.2

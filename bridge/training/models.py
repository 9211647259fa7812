"""The two sources of heads: the ICT head model and the textured avatars, read from the data folder (never shipped).

ICT Face Model Light (c) 2020 USC ICT, MIT. VALID avatars (c) 2022 Tiffany Do, MIT.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .subject import weld_index

UNIT_CM = 14.0  # one canonical unit in centimetres
HELD_OUT = ("asian_f_1_milit", "black_m_2_default", "hispanic_m_2_default", "white_m_1_default")
TEXTURE_SIZE = 512
LAST_KEPT_VERTEX = 24591  # skin, gums, teeth, eyeballs; the sheets after them (lashes, tear film) are left out
FACE_END, SKIN_END = 9409, 11248  # face vertices, then head and neck


@dataclass(frozen=True, eq=False)
class IctModel:
    """The ICT head model, triangulated, in the canonical frame, with a finer scalp."""

    mean: np.ndarray  # [V, 3] float32
    faces: np.ndarray  # [F, 3] int32
    identity: np.ndarray  # [100, V, 3] float32
    expression: np.ndarray  # [E, V, 3] float32
    blink: tuple[int, ...]  # expression indices that close the eyes
    weld: np.ndarray  # [V]
    landmarks: np.ndarray  # [68] vertex indices
    part: np.ndarray  # [V] 0 face, 1 head and neck, 2 mouth and gums, 3 eye socket, 4 teeth, 5 sclera, 6 iris, 7 pupil


@dataclass(frozen=True, eq=False)
class AvatarModel:
    """One textured avatar in the canonical frame."""

    name: str
    vertices: np.ndarray  # [V, 3]
    faces: np.ndarray  # [F, 3]
    uv: np.ndarray  # [F, 3, 2]
    texture_id: np.ndarray  # [F]
    textures: np.ndarray  # [T, s, s, 3] linear float32
    weld: np.ndarray  # [V]
    gloss: float


def split_quads(quads: np.ndarray) -> np.ndarray:  # [Q, 4] -> [F, 3] int32
    """Triangles of polygons whose last index is -1 for triangles."""
    first = quads[:, [0, 1, 2]]
    second = quads[quads[:, 3] >= 0][:, [0, 2, 3]]
    return np.concatenate([first, second]).astype(np.int32)


def _finer(faces: np.ndarray, inside: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Midpoint subdivision of the triangles marked inside. Returns new faces and the parents [M, 2] of new vertices.

    Neighbours that are not marked keep their long edge; the new midpoint lies on it, so no gap opens.
    """
    chosen = faces[inside]
    edges = np.sort(np.concatenate([chosen[:, [0, 1]], chosen[:, [1, 2]], chosen[:, [2, 0]]]), axis=1)
    parents, inverse = np.unique(edges, axis=0, return_inverse=True)
    middle = inverse.reshape(3, -1) + count
    a, b, c = chosen.T
    ab, bc, ca = middle
    fine = np.concatenate([np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))])
    return np.concatenate([faces[~inside], fine]).astype(np.int32), parents


def load_ict(path: Path) -> IctModel:
    """ict_facekit.npz (data/README.md) -> model. Raises ValueError naming the file if it is missing."""
    if not path.is_file():
        raise ValueError(f"The head model {path.name} is not in {path.parent}; pass its folder with --data.")
    data = np.load(path)
    keep = LAST_KEPT_VERTEX
    quads = data["faces"]
    faces = split_quads(quads[quads.max(1) < keep])
    landmarks = data["landmarks68"]
    base = data["vertices"][:keep].astype(np.float32)
    names = [str(n) for n in data["expression_names"]]
    part = np.zeros(keep, np.int32)
    for start, end, label in (
        (FACE_END, SKIN_END, 1),
        (SKIN_END, 13294, 2),
        (13294, 14062, 3),
        (14062, 17039, 2),
        (17039, 21451, 4),
        (21451, 23021, 5),
        (23021, keep, 5),
    ):
        part[start:end] = label
        if label == 5:  # the outer shell is what is seen: its front is painted as iris and pupil
            eye = base[start:end]
            middle = (eye.min(0) + eye.max(0)) / 2
            away = np.linalg.norm(eye[:, :2] - middle[:2], axis=1)
            front = eye[:, 2] > middle[2]
            part[start:end][front & (away < 0.62)] = 6
            part[start:end][front & (away < 0.27)] = 7
    identity = data["identity"][:, :keep].astype(np.float32)
    expression = data["expression"][:, :keep].astype(np.float32)
    # the nose tip goes where the avatars have it
    nose = base[landmarks[30]]
    centre = np.array([0.0, nose[1] + 0.31 * UNIT_CM, nose[2] - 0.87 * UNIT_CM], np.float32)
    for _ in range(2):
        head = part[faces].max(1) == 1
        high = base[faces][:, :, 1].max(1) > centre[1] - 0.7 * UNIT_CM
        faces, parents = _finer(faces, head & high, len(base))
        base, identity, expression = (
            np.concatenate([x, x[..., parents, :].mean(-2)], axis=-2) for x in (base, identity, expression)
        )
        part = np.concatenate([part, np.minimum(part[parents[:, 0]], part[parents[:, 1]]) * 0 + 1]).astype(np.int32)
    return IctModel(
        mean=((base - centre) / UNIT_CM).astype(np.float32),
        faces=faces,
        identity=identity / UNIT_CM,
        expression=expression / UNIT_CM,
        blink=tuple(i for i, n in enumerate(names) if n.startswith("eyeBlink")),
        weld=weld_index(base),
        landmarks=landmarks,
        part=part,
    )


def load_avatar(folder: Path) -> AvatarModel:
    """One avatar from its folder."""
    record = json.loads((folder / "head.json").read_text(encoding="utf-8"))
    data = np.load(folder / record["npz"])
    scale = record["mm_per_native_unit"] / record["mm_per_unit"]
    axes = np.asarray(record["axes"])
    vertices = ((data["vertices"] @ axes.T - np.asarray(record["center"])) * scale).astype(np.float32)
    textures = []
    for entry in record["textures"]:
        pixels = cv2.imread(str(folder / entry["file"]), cv2.IMREAD_COLOR)
        assert pixels is not None, f"'{entry['file']}' is no picture"
        image = pixels[:, :, ::-1].astype(np.float32) / 255
        textures.append(cv2.resize(image, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_AREA) ** 2.2)
    faces = data["faces"].astype(np.int32)
    ids = data["face_texture"] if "face_texture" in data.files else np.zeros(len(faces))
    return AvatarModel(
        name=folder.name,
        vertices=vertices,
        faces=faces,
        uv=data["uv"][data["faces_uv"]].astype(np.float32),
        texture_id=ids.astype(np.int32),
        textures=np.stack(textures).astype(np.float32),
        weld=weld_index(vertices),
        gloss=float(record.get("specular", 0.1)),
    )


def load_avatars(folder: Path, held_out: bool) -> list[AvatarModel]:
    """The training avatars, or the ones kept away from training, sorted by name."""
    folders = sorted(p.parent for p in folder.glob("*/head.json"))
    return [load_avatar(p) for p in folders if (p.name in HELD_OUT) == held_out]

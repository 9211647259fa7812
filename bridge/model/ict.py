"""ICT-FaceKit (MIT, USC ICT) as a template, from an ict_facekit.npz that the user made or brought.

Centimetres in the file; +Y up, +Z out of the face, +X to the subject's left.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ..errors import BridgeError
from . import arkit, measured
from .package import brought
from .template import PARTS, Template, kept

MM = 10.0
FACE_END, SKIN_END, SOCKETS_END = 9409, 11248, 14062
PARTS_AT = (  # first vertex of each part, in order
    (0, "skin"),
    (14062, "tongue"),
    (17039, "teeth_upper"),
    (21451, "eye_left"),
    (23021, "eye_right"),
    (24591, "other"),
)
FILE, TITLE = "ict_facekit.npz", "ICT-FaceKit"
TONGUE_MM = np.array([0.0, -3.0, 28.0])  # of the tip, as far as MakeHuman's


def load(path: Path | None = None) -> Template:
    """Face, head, sockets, eyes, teeth and tongue with 100 identity modes and 52 shapes named as ARKit names them.

    Raises BridgeError "template-missing" or "template-damaged".
    """
    place = brought(FILE, TITLE, path)
    try:
        data = np.load(place, allow_pickle=False)
        template = _template(data)
    except (OSError, ValueError, KeyError) as error:
        sentence = f"'{place.name}' is no ICT model: {error}."
        raise BridgeError("template-damaged", sentence, "Convert ICT-FaceKit's files again.") from None
    return measured.corrected(template).with_landmarks(measured.load("ict"))


def _template(data: np.lib.npyio.NpzFile) -> Template:
    vertices = data["vertices"].astype(np.float64) * MM
    part = np.full(len(vertices), PARTS.index("other"), np.uint8)
    for (first, name), (end, _) in zip(PARTS_AT, (*PARTS_AT[1:], (len(vertices), ""))):
        part[first:end] = PARTS.index(name)
    teeth = part == PARTS.index("teeth_upper")
    names = [str(name) for name in data["expression_names"]]
    opened = np.linalg.norm(data["expression"][names.index("jawOpen")].astype(np.float32), axis=1)
    part[teeth & (opened > 0.2)] = PARTS.index("teeth_lower")  # the jaw takes them along
    lashes = dict(zip((str(n) for n in data["region_names"]), data["region_vertex_range"].tolist()))
    for name, (first, last) in lashes.items():
        if "eyelash" in name.lower():
            part[first : last + 1] = PARTS.index("lashes")
    expressions = [_sum(data, names, name) for name in arkit.NAMES]
    if "tongueOut" not in names:
        expressions[arkit.NAMES.index("tongueOut")] = _tongue_out(vertices, part == PARTS.index("tongue"))
    indices = np.arange(len(vertices))
    everything = Template(
        "ict",
        vertices,
        data["faces"].astype(np.int32),
        data["uv"].astype(np.float32),
        data["faces_uv"].astype(np.int32),
        part,
        licence="MIT, (c) 2020 USC Institute for Creative Technologies",
        mirror=_mirror(vertices),
        identity=data["identity"].astype(np.float32) * MM,
        expression_names=arkit.NAMES,
        expressions=np.stack(expressions),
        regions={
            "face": indices < FACE_END,
            "inner": (indices >= SKIN_END) & (indices < SOCKETS_END),
        },
    )
    return kept(everything, part != PARTS.index("other"), "ict")


def ict_names(name: str) -> list[str]:
    """ICT's own shapes that make up an ARKit shape: sides are _L and _R, and three of them are split or missing."""
    if name in ("browInnerUp", "cheekPuff"):
        return [f"{name}_L", f"{name}_R"]
    if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
        return [name.removesuffix("Left") + "_L"]
    if name.endswith("Right") and name not in ("jawRight", "mouthRight"):
        return [name.removesuffix("Right") + "_R"]
    return [name]


def _sum(data: np.lib.npyio.NpzFile, names: list[str], wanted: str) -> np.ndarray:  # [V, 3] mm
    result = np.zeros((len(data["vertices"]), 3), np.float32)
    for name in ict_names(wanted):
        if name in names:
            result += data["expression"][names.index(name)].astype(np.float32) * MM
    return result


def _tongue_out(vertices: np.ndarray, tongue: np.ndarray) -> np.ndarray:  # [V, 3] mm
    """ICT has no such shape: the tongue's front slides out of an open mouth, its root stays."""
    result = np.zeros(vertices.shape, np.float32)
    z = vertices[tongue, 2]
    forward = (z - z.min()) / np.ptp(z)
    result[tongue] = (forward**2 * (3 - 2 * forward))[:, None] * TONGUE_MM
    return result


def _mirror(vertices: np.ndarray) -> np.ndarray:  # [V] int32
    """The vertex nearest to each one's mirror image."""
    return cKDTree(vertices).query(vertices * [-1, 1, 1])[1].astype(np.int32)

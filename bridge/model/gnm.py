"""GNM Head (Apache-2.0, Google, 2026) as a template, from a gnm_head.npz that the user has downloaded.

The file's layout is that of GNM's version 3: metres, +Y up, +Z out of the face; quads [Q, 4] with quad_uvs [Q, 4, 2];
vertex_identity_basis [I, V, 3] for unit normal coefficients; vertex_groups [G, V] of floats with vertex_group_names.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ..errors import BridgeError
from .own import read_landmarks
from .package import brought
from .template import PARTS, Template, kept

MM = 1000.0
FILE, TITLE = "gnm_head.npz", "GNM"
HEAD = "head"  # identities whose names begin so; the others are of eyes, teeth and tongue
WHOLE = 0.5  # how much of a vertex is in a group that it belongs to


def load(path: Path | None = None) -> Template:
    """Skin, eyes without their corneas, teeth and tongue, with the head's identities; its expressions are not ARKit's.

    Raises BridgeError "template-missing" or "template-damaged".
    """
    place = brought(FILE, TITLE, path)
    try:
        with np.load(place, allow_pickle=False) as data:
            template = _template(data)
    except (OSError, ValueError, KeyError, IndexError) as error:
        sentence = f"'{place.name}' is no GNM model: {error}."
        raise BridgeError("template-damaged", sentence, "Download GNM Head 3.0 again.") from None
    return template.with_landmarks(read_landmarks(place))


def _template(data: np.lib.npyio.NpzFile) -> Template:
    vertices = data["template_vertex_positions"].astype(np.float64) * MM
    if not np.isfinite(vertices).all():
        raise ValueError("positions that are no numbers")
    faces = data["quads"].astype(np.int32)
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError("quads of vertices that do not exist")
    groups = dict(zip((str(name) for name in data["vertex_group_names"]), data["vertex_groups"] > WHOLE, strict=True))

    def group(name: str) -> np.ndarray:  # [V] bool
        return groups.get(name, np.zeros(len(vertices), bool))

    part = np.zeros(len(vertices), np.uint8)
    for name in ("teeth_upper", "teeth_lower"):
        part[group("_".join(reversed(name.split("_"))))] = PARTS.index(name)
    teeth = np.flatnonzero(part)
    gums = np.flatnonzero(group("gums") & (part == 0))
    if len(teeth):
        part[gums] = part[teeth[cKDTree(vertices[teeth]).query(vertices[gums])[1]]]
    part[group("tongue")] = PARTS.index("tongue")
    for name, side in (("eye_left", group("left_eye")), ("eye_right", group("right_eye"))):
        part[side] = PARTS.index(name)
    part[group("eye_exteriors")] = PARTS.index("other")  # glass before the iris
    corners = data["quad_uvs"].astype(np.float32).reshape(-1, 2)
    uv, which = np.unique(corners, axis=0, return_inverse=True)
    names = [str(name) for name in data["identity_names"]]
    head = [i for i, name in enumerate(names) if name.startswith(HEAD)]
    everything = Template(
        "gnm",
        vertices,
        faces,
        uv,
        which.reshape(-1, 4).astype(np.int32),
        part,
        licence="Apache-2.0, Google, GNM Head",
        mirror=cKDTree(vertices).query(vertices * [-1, 1, 1])[1].astype(np.int32),
        identity=data["vertex_identity_basis"][head].astype(np.float32) * np.float32(MM),
        regions={"inner": group("mouth_sock"), "ears": group("ears")},
    )
    return kept(everything, part != PARTS.index("other"), "gnm")

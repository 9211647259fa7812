"""One interface for every head template: MakeHuman's, ICT's, the artist's own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

PARTS = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "tongue", "lashes", "other")


@dataclass(frozen=True, eq=False)
class LandmarkMap:
    """Where the face mesh's 468 landmarks lie on a template: points inside its triangles.

    Measured by rendering the template's people and running the landmark model on the pictures.
    """

    corners: np.ndarray  # [468, 3] int32, vertices of the template
    weights: np.ndarray  # [468, 3] float64, sum 1
    spread: np.ndarray  # [468] float64 mm: how far single measurements lie from this point

    def points(self, vertices: np.ndarray) -> np.ndarray:  # [V, 3] -> [468, 3]
        """The landmarks on the template's surface in any shape of it."""
        return np.einsum("nk,nkd->nd", self.weights, vertices[self.corners])


@dataclass(frozen=True, eq=False)
class Template:
    """A head of known topology. Millimetres, +Y up, +Z out of the face, +X to the subject's left.

    A person is vertices + identity coefficients (about N(0, 1)) times identity; an expression adds weights 0..1 times
    expressions. Shape k of the expressions has the name expression_names[k].
    """

    name: str
    vertices: np.ndarray  # [V, 3] float64
    faces: np.ndarray  # [F, 4] int32, outward counter-clockwise; -1 in the last place: a triangle
    uv: np.ndarray  # [T, 2] float32; no rows where the template has none
    faces_uv: np.ndarray  # [F, 4] int32 into uv
    part: np.ndarray  # [V] uint8 into PARTS
    licence: str = ""
    mirror: np.ndarray | None = None  # [V] int32: the vertex on the other side
    landmarks: LandmarkMap | None = None
    identity: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 3), np.float32))  # [k, V, 3]
    expression_names: tuple[str, ...] = ()
    expressions: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 3), np.float32))  # [m, V, 3]
    regions: dict[str, np.ndarray] = field(default_factory=dict)  # name -> [V] bool

    def of_part(self, *names: str) -> np.ndarray:  # [V] bool
        return np.isin(self.part, [PARTS.index(name) for name in names])

    @property
    def triangles(self) -> np.ndarray:  # [T, 3] int32
        return split_quads(self.faces)

    def triangles_of(self, *names: str) -> np.ndarray:  # [T, 3] int32
        """Triangles of some parts alone."""
        triangles = self.triangles
        return triangles[self.of_part(*names)[triangles].all(1)]

    def with_landmarks(self, landmarks: LandmarkMap | None) -> Template:
        return replace(self, landmarks=landmarks)


def split_quads(faces: np.ndarray) -> np.ndarray:  # [F, 4] -> [T, 3] int32
    """Triangles of quads and triangles (-1 in the last place), each quad's two beside each other."""
    both = np.stack([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]], 1).reshape(-1, 3)
    return np.ascontiguousarray(both[(both >= 0).all(1)], np.int32)


def edges_of(faces: np.ndarray) -> np.ndarray:  # [F, 4] -> [E, 2] int64, each edge once, lower vertex first
    """The drawn edges of quads and triangles: no diagonals."""
    pairs = []
    quads = faces[faces[:, 3] >= 0]
    triangles = faces[faces[:, 3] < 0][:, :3]
    for polygons in (quads, triangles):
        pairs += [polygons[:, [k, (k + 1) % polygons.shape[1]]] for k in range(polygons.shape[1])]
    return np.unique(np.sort(np.concatenate(pairs).astype(np.int64), 1), axis=0)


def kept(template: Template, keep: np.ndarray, name: str) -> Template:
    """The template with only the marked vertices [V] bool and the faces between them, everything renumbered."""
    place = np.full(len(keep) + 1, -1, np.int64)
    place[:-1][keep] = np.arange(keep.sum())
    faces = place[template.faces]  # -1, a triangle's last corner, stays -1
    whole = (faces[:, :3] >= 0).all(1) & ((faces[:, 3] >= 0) | (template.faces[:, 3] < 0))
    faces, faces_uv = faces[whole].astype(np.int32), template.faces_uv[whole]
    used = np.zeros(len(template.uv) + 1, bool)
    used[faces_uv] = True
    used[-1] = False
    new_uv = np.full(len(used), -1, np.int64)
    new_uv[used] = np.arange(used.sum())
    mirror = template.mirror
    if mirror is not None:
        mirror = place[mirror[keep]].astype(np.int32)
        mirror = np.where(mirror < 0, np.arange(len(mirror)), mirror).astype(np.int32)
    landmarks = template.landmarks
    if landmarks is not None:
        landmarks = replace(landmarks, corners=place[landmarks.corners].astype(np.int32))
    return replace(
        template,
        name=name,
        vertices=template.vertices[keep],
        faces=faces,
        uv=template.uv[used[:-1]],
        faces_uv=new_uv[faces_uv].astype(np.int32),
        part=template.part[keep],
        mirror=mirror,
        landmarks=landmarks,
        identity=template.identity[:, keep] if len(template.identity) else template.identity,
        expressions=template.expressions[:, keep] if len(template.expressions) else template.expressions,
        regions={key: value[keep] for key, value in template.regions.items()},
    )

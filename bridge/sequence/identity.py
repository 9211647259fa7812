"""Who performs: the key frame's template, its shapes, what its skin looks like and where its landmarks are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from ..capture.cameras import Camera
from ..files import atomic
from ..model import PARTS
from ..model.template import LandmarkMap, split_quads
from .look import LEVELS, Pictures, visible

EYES, AROUND = ("eye_left", "eye_right"), 1.3  # skin around an eye: within so many of its radii
LOOKS_LIKE = 0.25  # least cosine to a camera under which the key frame shows how a vertex looks


@dataclass(frozen=True, eq=False)
class Identity:
    """All that stays the same through a performance. Positions in the key frame's world."""

    neutral: np.ndarray  # [V, 3] float64: the wrapped template
    shapes: np.ndarray  # [m, V, 3] float32, displacements at weight 1
    shape_names: tuple[str, ...]
    faces: np.ndarray  # [F, 4] int32
    part: np.ndarray  # [V] uint8 into PARTS
    follows: np.ndarray  # [V] bool: skin that the photographs may move
    face: np.ndarray  # [V] bool
    corners: np.ndarray  # [468, 3] int32: landmarks on the template
    weights: np.ndarray  # [468, 3]
    marks: np.ndarray  # [468, 3] where the key frame's photographs show them; NaN: not known
    sigma: np.ndarray  # [468] world units
    look: np.ndarray  # [K, LEVELS, V] float32: band-passed brightness in each key frame, 0 where nothing saw it
    shown: np.ndarray  # [K, V] float32 0..1: how well a key frame shows a vertex
    expression: np.ndarray  # [K, m] weights of the shapes in each key frame; the first one's are 0
    size: float  # world units of a usual edge of the face
    uv: np.ndarray  # [T, 2] float32
    faces_uv: np.ndarray  # [F, 4] int32 into uv

    @property
    def centre(self) -> np.ndarray:  # [3]
        """What the head turns about."""
        return self.neutral[self.face].mean(0)

    @property
    def triangles(self) -> np.ndarray:  # [T, 3]
        return split_quads(self.faces)

    @property
    def surface(self) -> np.ndarray:  # [T, 3] triangles of skin and eyes: what a photograph shows
        triangles = self.triangles
        shown = np.isin(self.part, [PARTS.index(name) for name in ("skin", *EYES)])
        return triangles[shown[triangles].all(1)]

    def eyes(self) -> dict[str, np.ndarray]:
        """Side -> vertices [n] of the eye and of the skin around it; without those that the template lacks."""
        found = {}
        for name in EYES:
            ball = self.part == PARTS.index(name)
            if ball.any():
                centre = (self.neutral[ball].min(0) + self.neutral[ball].max(0)) / 2
                radius = np.linalg.norm(self.neutral[ball] - centre, axis=1).max()
                near = np.linalg.norm(self.neutral - centre, axis=1) < AROUND * radius
                found[name.removeprefix("eye_").capitalize()] = np.flatnonzero(ball | (near & self.follows))
        return found

    def posed(self, expression: np.ndarray) -> np.ndarray:  # [m] -> [V, 3]
        used = np.flatnonzero(expression)  # most weights of most frames are 0
        return self.neutral + np.tensordot(expression[used].astype(np.float32), self.shapes[used], 1)

    def with_look(
        self,
        cameras: Sequence[Camera],
        pictures: Sequence[np.ndarray],
        vertices: np.ndarray | None = None,
        expression: np.ndarray | None = None,
    ) -> Identity:
        """With one key frame more: how the skin looks in its photographs [H, W, 3] sRGB 0..1.

        vertices: [V, 3] where it is there, in the world. expression: [m], under which weights. Of the first: neutral.
        """
        vertices = self.neutral if vertices is None else vertices
        expression = np.zeros(len(self.shapes)) if expression is None else expression
        seen = Pictures(cameras, pictures, vertices[self.follows])
        look = np.zeros((LEVELS, len(vertices)), np.float32)
        facing = visible(seen.cameras, vertices, self.surface)  # [views, V]
        weight = np.where(facing > LOOKS_LIKE, facing, 0.0) ** 2
        for level in range(LEVELS):
            values = np.stack([seen.values(i, level, vertices)[0] for i in range(len(seen.cameras))])
            look[level] = (weight * values).sum(0) / np.maximum(weight.sum(0), 1e-9)
        shown = np.clip(weight.sum(0), 0, 1).astype(np.float32)
        return replace(
            self,
            look=np.concatenate([self.look, look[None]]),
            shown=np.concatenate([self.shown, shown[None]]),
            expression=np.concatenate([self.expression, expression[None]]),
        )

    def save(self, path: Path) -> None:
        arrays = {item.name: np.asarray(getattr(self, item.name)) for item in fields(self)}
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # arrays are no allow_pickle


def load_identity(path: Path) -> Identity:
    """What save() wrote."""
    with np.load(path, allow_pickle=False) as stored:
        values = {item.name: stored[item.name] for item in fields(Identity)}
    values |= {"shape_names": tuple(map(str, values["shape_names"])), "size": float(values["size"])}
    return Identity(**values)


def identity_of(wrapped: dict[str, np.ndarray], marks: LandmarkMap, regions: dict[str, np.ndarray]) -> Identity:
    """From the arrays of a key frame's wrap.npz and the template's landmarks and regions; its look is still to come."""
    vertices = wrapped["vertices"].astype(np.float64)
    face, neck = regions["face"].astype(bool), regions["neck"].astype(bool)
    edges = split_quads(wrapped["faces"])
    edges = edges[face[edges].all(1)]
    size = float(np.median(np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)))
    sigma = wrapped["landmarks_sigma"]
    return Identity(
        neutral=vertices,
        shapes=wrapped["shapes"].astype(np.float32),
        shape_names=tuple(map(str, wrapped["shape_names"])),
        faces=wrapped["faces"],
        part=wrapped["part"],
        follows=regions["exposed"].astype(bool) & ~neck,
        face=face,
        corners=marks.corners,
        weights=marks.weights,
        marks=np.where(np.isfinite(sigma)[:, None], wrapped["landmarks"], np.nan),
        sigma=sigma,
        look=np.zeros((0, LEVELS, len(vertices)), np.float32),
        shown=np.zeros((0, len(vertices)), np.float32),
        expression=np.zeros((0, len(wrapped["shapes"]))),
        size=size,
        uv=wrapped["uv"],
        faces_uv=wrapped["faces_uv"],
    )

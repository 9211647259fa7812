"""Pose, identity, hair and expression of the model head that looks most like the photographs.

Gauss-Newton on landmarks, outlines and the network's normals with weights whose width falls; coefficients are held by
their statistics, size by that of people (Blanz and Vetter 1999; Li et al., FLAME, 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from ..capture.cameras import Camera, Similarity
from ..errors import Check, unchecked
from ..model.head_model import HeadModel
from .evidence import HAIR_NORMALS, LANDMARK_SHARE, Posed, Rows, View, drawn, landmark_rows, normal_rows, outline_rows
from .profile import coordinate_rows

WIDTHS_MM = (25.0, 20.0, 16.0, 13.0, 10.0, 8.0, 6.5, 5.0, 4.0, 4.0, 3.0, 3.0)  # of the outlines' robust weights
HELD = 20.0  # how much more coefficients are held in the first round
EXPRESSION_SIGMA = 0.12
SIZE_SIGMA = 0.045  # of the logarithm of a grown head's size
LEFT_OUT = ("eyeLook", "eyeBlink", "tongueOut")  # too little of them is seen
OPENING = ("jawOpen", "mouthClose", "mouthFunnel", "mouthLowerDown", "mouthUpperUp", "mouthShrugUpper")
CLOSED = 0.04  # between the inner lips' landmarks, of the face's height
LIPS, HEIGHT = (13, 14), (10, 152)
MOST = 3.5  # standard deviations of a coefficient
DISTANCE_MM, DISTANCE_SIGMA = 900.0, 0.5  # of a free camera from the head: between an arm's length and a small studio


@dataclass(frozen=True, eq=False)
class Fitted:
    """A head of the model in the world, and how well it is known."""

    pose: Similarity  # model (mm) -> world
    cameras: tuple[Camera, ...]  # of the views, in the world; as given where they were
    vertices: np.ndarray  # [V, 3] in the model's frame, mm, with hair and expression
    identity: np.ndarray  # [k]
    hair: np.ndarray  # [h]
    expression: np.ndarray  # [m] 0..1 of the template's expressions
    sigma: np.ndarray  # [V] mm: what the photographs and the model together leave open
    landmark_px: float  # median distance of the landmarks, in the maps' pixels


@dataclass(frozen=True)
class Free:
    """What is to be found of cameras: their poses, and focal lengths to this standard deviation of their logarithm.

    A face alone hardly tells a near wide lens from a far long one, so people's habits do: where they stand.
    """

    focal_sigma: tuple[float, ...]  # by view


def fit(
    model: HeadModel,
    views: Sequence[View],
    pose: Similarity,
    unit_mm: float | None,
    free: Free | None = None,
    *,
    check: Check = unchecked,
    step: Callable[[int, int], None] = lambda done, total: None,
    seed: int = 0,
    landmark_share: float = LANDMARK_SHARE,
) -> Fitted:
    """The head that looks most like the views. pose: where to start. With `free` every view has a pose of its own (the
    first camera's world stays), else one pose of the head serves all and the cameras stay as they are."""
    template = model.template
    rng = np.random.default_rng(seed)
    shapes = [i for i, name in enumerate(template.expression_names) if not name.startswith(_left_out(views))]
    k, h, m = len(template.identity), len(model.hair), len(shapes)
    basis = np.concatenate([template.identity, model.hair, template.expressions[shapes]]).astype(np.float64)
    basis = np.ascontiguousarray(basis.transpose(1, 2, 0))  # [V, 3, K]
    base = template.vertices + model.hull
    prior = np.concatenate([np.ones(k + h), np.full(m, EXPRESSION_SIGMA**-2.0)])
    triangles = template.triangles_of("skin", "eye_left", "eye_right")
    silent = template.regions["neck"]
    share = np.where(template.regions["scalp"], HAIR_NORMALS, np.where(silent, 0.3, 1.0))
    bodies, size = (len(views), 7) if free else (1, 7)
    first = bodies * size
    theta = np.zeros(k + h + m)
    local = [inverse(pose).camera(view.camera) for view in views]
    log_focal = np.zeros(len(views))
    assert template.landmarks is not None
    for round_, width in enumerate(WIDTHS_MM):
        check()
        shape = base + basis @ theta
        A, b = np.zeros((first + len(theta),) * 2), np.zeros(first + len(theta))
        seen = drawn(local, shape, triangles)
        for i, (view, camera) in enumerate(zip(views, local, strict=True)):
            body = i if free else 0
            posed = Posed(view, camera, seen[i], shape, triangles, basis)
            for rows in (
                landmark_rows(posed, template.landmarks, landmark_share),
                coordinate_rows(view, camera, len(theta)),
                outline_rows(posed, silent, width),
                normal_rows(posed, share, rng),
            ):
                if rows is not None:
                    _add((A, b), rows, body * size, first, free is not None)
        if free:
            for i, sigma in enumerate(free.focal_sigma):
                A[i * size + 6, i * size + 6] += sigma**-2.0
                b[i * size + 6] += log_focal[i] / sigma**2
                away = float((local[i].R @ shape.mean(0) + local[i].t)[2])
                at, by_shift = slice(i * size + 3, i * size + 6), local[i].R[2] / away
                A[at, at] += np.outer(by_shift, by_shift) / DISTANCE_SIGMA**2
                b[at] += by_shift * np.log(away / DISTANCE_MM) / DISTANCE_SIGMA**2
        elif unit_mm is not None:
            A[6, 6] += SIZE_SIGMA**-2.0
            b[6] += np.log(pose.scale * unit_mm) / SIZE_SIGMA**2
        elif len(views) == 1:
            A[6, 6] += 1e6
        held = prior * max(HELD * (width / WIDTHS_MM[0] - 0.25) + 1, 1)
        A[first:, first:] += np.diag(held)
        b[first:] += held * theta
        change = np.linalg.solve(A + 1e-9 * np.eye(len(A)), -b)
        theta = theta + change[first:]
        theta[: k + h] = np.clip(theta[: k + h], -MOST, MOST)
        theta[k + h :] = np.clip(theta[k + h :], 0, 1)
        if free:
            for i in range(len(views)):
                part = change[i * size : (i + 1) * size]
                log_focal[i] += part[6]
                local[i] = _zoomed(inverse(_turn(part, False)).camera(local[i]), np.exp(part[6]))
        else:
            pose = pose.after(_turn(change[:7], True))
            local = [inverse(pose).camera(view.camera) for view in views]
        step(round_ + 1, len(WIDTHS_MM))
    shape = base + basis @ theta
    covariance = np.linalg.inv(A)[first:, first:]
    spread = np.sqrt(np.einsum("vdk,kl,vdl->v", basis, covariance, basis, optimize=True) + model.residual**2)
    expression = np.zeros(len(template.expression_names))
    expression[shapes] = theta[k + h :]
    cameras = tuple(pose.camera(camera) for camera in local) if free else tuple(view.camera for view in views)
    off = [landmark_error(view, camera, template.landmarks.points(shape)) for view, camera in zip(views, local)]
    found = [value for value in off if value is not None]
    return Fitted(
        pose, cameras, shape, theta[:k], theta[k : k + h], expression, spread,
        float(np.median(found)) if found else float("nan"),
    )  # fmt: skip


def landmark_error(view: View, camera: Camera, points: np.ndarray) -> float | None:
    """Median distance in the map's pixels over the half of the face that looks at the camera."""
    if view.face is None:
        return None
    off = np.linalg.norm(camera.project(points)[0] - view.face.points[:, :2], axis=1)
    return float(np.median(off[view.face.frontal >= np.median(view.face.frontal)]))


def _left_out(views: Sequence[View]) -> tuple[str, ...]:
    """Expressions that are not asked for: those of an open mouth where the lips touch."""
    for view in views:
        if view.face is not None:
            points = view.face.points[:, :2]
            gap = np.linalg.norm(points[LIPS[0]] - points[LIPS[1]])
            if gap > CLOSED * np.linalg.norm(points[HEIGHT[0]] - points[HEIGHT[1]]):
                return LEFT_OUT
    return (*LEFT_OUT, *OPENING)


def _add(system: tuple[np.ndarray, np.ndarray], rows: Rows, at: int, first: int, focal: bool) -> None:
    """Normal equations: of each body a rotation, a translation, and a size or (of free cameras) a focal length."""
    A, b = system
    by_turn = np.cross(rows.point, rows.by_point) if rows.by_turn is None else rows.by_turn
    last = rows.by_focal if focal else (rows.by_point * rows.point).sum(1)
    if last is None:
        last = np.zeros(len(rows.residual))
    body = np.concatenate([by_turn, rows.by_point, last[:, None]], 1)
    J = np.concatenate([body, rows.by_shape], 1)
    index = np.concatenate([np.arange(at, at + 7), np.arange(first, len(b))])
    A[np.ix_(index, index)] += (J * rows.weight[:, None]).T @ J
    b[index] += (J * rows.weight[:, None]).T @ rows.residual


def _turn(step: np.ndarray, sized: bool) -> Similarity:
    rotation, _ = cv2.Rodrigues(step[:3])
    return Similarity(float(np.exp(step[6])) if sized else 1.0, rotation, step[3:6].copy())


def inverse(pose: Similarity) -> Similarity:
    """The way back."""
    rotation = pose.rotation.T
    return Similarity(1 / pose.scale, rotation, -rotation @ pose.offset / pose.scale)


def _zoomed(camera: Camera, factor: float) -> Camera:
    K = camera.K.copy()
    K[0, :2] *= factor
    K[1, 1] *= factor
    return replace(camera, K=K)

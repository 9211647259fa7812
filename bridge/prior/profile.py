"""Where the head is in a photograph from the side, in which the landmark model finds no face.

The network names the point of a canonical head that every pixel shows (head/canonical.py); the camera is found from
them by perspective-n-point with RANSAC (Fischler and Bolles 1981; Terzakis and Lourakis 2020). Of four heads from the
side it was 2 to 8 degrees off, once 17; outline and normals correct that.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..capture.cameras import Camera, Similarity
from ..head.canonical import UNIT_MM
from .evidence import Rows, View, projected, scale_at
from .start import in_world

POINTS, TRIALS = 3000, 300
REACH = 0.03  # of the picture's width: a pixel so far from its point's image still agrees
SURE = 0.3  # least confidence of a pixel that is asked
ASKED, SHARE, OFF_MM = 400, 0.15, 12.0  # pixels in the fit; how much each counts; how far the network is usually off
AGREE = 0.5  # least share of the pixels: 0.54 to 0.90 on ten views each of four heads
# Least cosine between where the face looks and the camera: a profile has 0; from further behind there is no face to see
FACE_SEEN = -0.55
FRONT = 0.75  # ... and greatest: of a head that looks at the camera landmarks would have been found
# Most of the face that may face otherwise than the fitted one: 0.001 to 0.025 on ten profiles, 0.07 to 0.25 on four
# photographs whose coordinates were wrong (lying on their side, from above)
ODD = 0.035


def start_from_side(views: Sequence[View], unit_mm: float | None) -> Similarity | None:
    """The model head (mm) in the world of given cameras, from the view whose pixels agree most; None where none shows
    the side of a face."""
    found = [(view, stood) for view in views if (stood := stand(view)) is not None]
    if not found:
        return None
    view, (local, _) = max(found, key=lambda pair: pair[1][1])
    return in_world(view.camera, local, unit_mm)


def stand(view: View) -> tuple[Camera, float] | None:
    """The camera in the model's frame (mm) and the share of the pixels that agree, where a face is seen from the side
    at least."""
    if view.canonical is None:
        return None
    y, x = np.nonzero((view.matte > 0.9) & (view.confidence > SURE))
    if len(y) < POINTS // 10:
        return None
    chosen = np.random.default_rng(0).choice(len(y), min(POINTS, len(y)), replace=False)
    y, x = y[chosen], x[chosen]
    points, pixels = UNIT_MM * view.canonical[y, x].astype(np.float64), np.stack([x, y], 1) + 0.5
    camera = view.camera
    cv2.setRNGSeed(0)  # the same answer every time
    done, turn, shift, agree = cv2.solvePnPRansac(
        points, pixels, camera.K, None, iterationsCount=TRIALS, reprojectionError=REACH * camera.width,
        flags=cv2.SOLVEPNP_SQPNP,
    )  # fmt: skip
    if not done or len(agree) < AGREE * len(points):
        return None
    agree = agree[:, 0]
    turn, shift = cv2.solvePnPRefineLM(points[agree], pixels[agree], camera.K, None, turn, shift)
    R, _ = cv2.Rodrigues(turn)
    if not FACE_SEEN < -R[2, 2] < FRONT:  # the model's face looks along +z, the camera along the third row of R
        return None
    return Camera(camera.name, camera.K, R, shift[:, 0], camera.width, camera.height), len(agree) / len(points)


def coordinate_rows(view: View, camera: Camera, shapes: int) -> Rows | None:
    """The network's canonical points against their pixels, where no landmarks hold the pose: of a head from the side
    outline and normals hardly tell how it leans. They move no coefficient."""
    if view.face is not None or view.canonical is None:
        return None
    y, x = np.nonzero((view.matte > 0.9) & (view.confidence > SURE))
    some = np.linspace(0, len(y) - 1, min(ASKED, len(y))).astype(int)
    points, aim = UNIT_MM * view.canonical[y[some], x[some]].astype(np.float64), np.stack([x, y], 1)[some] + 0.5
    pixels, by_point = projected(camera, points)
    mm = scale_at(camera, points.mean(0))
    error = (pixels - aim) * mm
    weight = SHARE / OFF_MM**2 / (1 + (error**2).sum(1) / OFF_MM**2) ** 2
    center = np.array([camera.K[0, 2], camera.K[1, 2]])
    return Rows(
        error.ravel(), (by_point * mm).reshape(-1, 3), np.repeat(points, 2, 0), np.zeros((2 * len(points), shapes)),
        np.repeat(weight, 2), by_focal=((pixels - center) * mm).ravel(),
    )  # fmt: skip

"""The scale of a capture from printed square markers (ArUco, AprilTag) of a known side that stand in the scene."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import cv2
import numpy as np

from ..capture.cameras import Camera
from ..capture.framing import nearest_point
from ..capture.images import read_photo, undistorted_camera
from ..capture.record import View
from ..errors import BridgeError, Check, unchecked

# one of each family; the larger dictionaries hold the smaller ones
DICTIONARIES = (
    cv2.aruco.DICT_4X4_1000,
    cv2.aruco.DICT_5X5_1000,
    cv2.aruco.DICT_6X6_1000,
    cv2.aruco.DICT_7X7_1000,
    cv2.aruco.DICT_ARUCO_ORIGINAL,
    cv2.aruco.DICT_APRILTAG_16h5,
    cv2.aruco.DICT_APRILTAG_36h11,
)
FARTHEST_PX = 0.004  # of the longer side: corners further from where they project are a mistaken marker
LEAST_DEG = 3.0  # between the rays of a marker
UNEQUAL = 0.05  # a marker whose sides differ by more is no square: its corners were mixed up

Seen = dict[int, dict[int, np.ndarray]]  # marker -> view -> its corners [4, 2]


def unit_mm(views: Sequence[View], side_mm: float, check: Check = unchecked) -> tuple[float, int]:
    """Millimetres of one world unit, and how many markers told it. Raises BridgeError "scale"."""
    seen: list[Seen] = [defaultdict(dict) for _ in DICTIONARIES]
    for index, view in enumerate(views):
        check()
        grey = cv2.cvtColor((read_photo(view).pixels * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
        for found, dictionary in zip(seen, DICTIONARIES):
            detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(dictionary), _refined())
            corners, numbers, _ = detector.detectMarkers(grey)
            for quad, number in zip(corners, [] if numbers is None else numbers.ravel()):
                found[int(number)][index] = quad.reshape(4, 2) + 0.5  # OpenCV counts from the first pixel's centre
    cameras = [undistorted_camera(view.camera) for view in views]
    sides = [side for found in seen for side in _sides(found, cameras)]
    if not sides:
        raise BridgeError(
            "scale",
            "No square marker was found in two photographs from different sides.",
            "Print ArUco or AprilTag markers at least 30 pixels wide in the photographs, with a white rim, or "
            "pick the ends of a known length with --between.",
        )
    return side_mm / float(np.median(sides)), len(sides)


def _sides(found: Seen, cameras: Sequence[Camera]) -> list[float]:
    """Side length in world units of every marker that the views agree on."""
    sides = []
    for by_view in found.values():
        if len(by_view) < 2:
            continue
        chosen = [cameras[index] for index in by_view]
        origins = np.stack([camera.center for camera in chosen])
        quads = np.stack(list(by_view.values()))  # [views, 4, 2]
        rays = np.stack([camera.rays(quad) for camera, quad in zip(chosen, quads)])  # [views, 4, 3]
        if np.degrees(np.arccos(np.clip(rays[:, 0] @ rays[:, 0].T, -1, 1))).max() < LEAST_DEG:
            continue
        corners = np.stack([nearest_point(origins, rays[:, i]) for i in range(4)])
        off = max(np.abs(camera.project(corners)[0] - quad).max() for camera, quad in zip(chosen, quads))
        if not off <= FARTHEST_PX * max(max(camera.width, camera.height) for camera in chosen):
            continue
        lengths = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
        if np.ptp(lengths) <= UNEQUAL * lengths.mean():
            sides.append(float(lengths.mean()))
    return sides


def _refined() -> cv2.aruco.DetectorParameters:
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    return parameters

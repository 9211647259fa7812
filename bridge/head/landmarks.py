"""468 landmarks of a face in a photograph: MediaPipe's detector and face mesh (Apache-2.0), run by ai-edge-litert.

Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs" (2019). The models are not
ours to ship: `python -m bridge weights landmarks` brings them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from ..errors import BridgeError, Check, unchecked

DETECTOR = "mediapipe/modules/face_detection/face_detection_short_range.tflite"
MESH = "mediapipe/modules/face_landmark/face_landmark.tflite"
COUNT = 468
PRESENT = 0.9  # presence below it: no face; backs of heads, which the detector likes, have hardly any
EYES = (33, 263)  # outer corners, the subject's right one first
NOSE_TIP, CHIN, FOREHEAD = 1, 152, 10
# closed lines of landmarks; "left" is the subject's left
LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
EYE_RIGHT = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
EYE_LEFT = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
# anchors of the 128 pixel detector: strides 8 and 16, 2 and 6 anchors a cell
ANCHORS = np.array(
    [((x + 0.5) / g, (y + 0.5) / g) for g, n in ((16, 2), (8, 6)) for y in range(g) for x in range(g) for _ in range(n)]
)
CANDIDATES, LEAST_SCORE = 40, 0.0  # anchors that may be faces of their own: even odds by the detector
TURNS = (0, 1, 3, 2)  # quarter turns that are tried where a photograph lies on its side
# in so many squares along the longer side a small face is looked for, and believed from this presence on: of
# 48 photographs in which find sees none three showed one there, of 0.986 at most
PARTS, SURE = (2, 4), 0.995


@dataclass(frozen=True, eq=False)
class Face:
    """A face in one picture."""

    points: np.ndarray  # [468, 3] pixels; z towards the camera is smaller, in pixels too
    presence: float  # 0..1
    frontal: np.ndarray  # [468] 0..1: how much each part of the face looks at the camera


class Landmarker:
    """The two models in memory. Raises BridgeError "landmarks-missing" where models or runtime are not here."""

    def __init__(self, folder: Path | zipfile.Path) -> None:
        if find_spec("ai_edge_litert") is None:
            raise BridgeError(
                "landmarks-missing",
                "The package ai-edge-litert is not installed, so no landmarks can be found.",
                "Install it (pip install '.[template]'), or in Blender Get Template Data.",
            )
        for name in (DETECTOR, MESH):
            if not (folder / name).is_file():
                raise BridgeError(
                    "landmarks-missing",
                    f"The landmark model {Path(name).name} is not on this machine.",
                    "Run `python -m bridge weights landmarks`, or in Blender Get Template Data.",
                )
        self._detector, self._mesh = _Net(folder / DETECTOR), _Net(folder / MESH)

    def find(self, picture: np.ndarray, region: np.ndarray | None = None) -> Face | None:
        """The face in a picture [H, W, 3] (float32 sRGB 0..1 or uint8), None where there is none.

        region: [4] x0, y0, x1, y1 where to look, if that is known. A picture that lies on its side is turned.
        """
        image = _bytes(picture)
        best: Face | None = None
        for turn in TURNS:
            face = self._upright(np.ascontiguousarray(np.rot90(image, turn)), _turned_box(region, turn, image.shape))
            if face is not None and (best is None or face.presence > best.presence):
                best = Face(_turned_back(face.points, turn, image.shape), face.presence, face.frontal)
            if best is not None and best.presence > PRESENT:
                return best
        return None

    def seek(self, picture: np.ndarray) -> Face | None:
        """As find; where that finds nothing, an upright face that is too small for a look at the whole picture."""
        face = self.find(picture)
        if face is not None:
            return face
        image = _bytes(picture)
        for part in PARTS:
            found = [self._upright(image, square) for square in _squares(image.shape, part)]
            sure = [face for face in found if face is not None and face.presence > SURE]
            if sure:
                return max(sure, key=lambda face: face.presence)
        return None

    def count(self, picture: np.ndarray) -> int:
        """How many faces an upright picture shows side by side, those half as large as the largest or larger."""
        image = _bytes(picture)
        sizes: list[float] = []
        centres: list[np.ndarray] = []
        for eyes, centre, size in self._candidates(np.ascontiguousarray(image)):
            apart = all(np.linalg.norm(centre - other) > 0.7 * max(size, its) for other, its in zip(centres, sizes))
            if apart and self._place(image, eyes, centre, size)[1] > PRESENT:
                sizes.append(size)
                centres.append(centre)
        return int((np.array(sizes) >= 0.5 * max(sizes)).sum()) if sizes else 0

    def _upright(self, image: np.ndarray, region: np.ndarray | None) -> Face | None:
        x0, y0, x1, y1 = (0, 0, *image.shape[1::-1]) if region is None else np.rint(region).astype(int)
        part = image[max(y0, 0) : y1, max(x0, 0) : x1]
        if min(part.shape[:2]) < 16:
            return None
        eyes, centre, size = self._detect(np.ascontiguousarray(part))
        shift = np.array([max(x0, 0), max(y0, 0)])
        points, presence = self._place(image, eyes + shift, centre + shift, size)
        for _ in range(2):  # from the landmarks' own box
            if presence < 0.05:
                return None
            low, high = points[:, :2].min(0), points[:, :2].max(0)
            points, presence = self._place(image, points[list(EYES), :2], (low + high) / 2, float((high - low).max()))
        return Face(points, presence, _frontal(points))

    def _detect(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Eyes [2, 2], centre [2] and size of the best face, in pixels."""
        return self._candidates(image, 1)[0]

    def _candidates(self, image: np.ndarray, most: int = CANDIDATES) -> list[tuple[np.ndarray, np.ndarray, float]]:
        """As _detect, of the detector's best anchors, the best first."""
        H, W = image.shape[:2]
        side = max(H, W)
        oy, ox = (side - H) // 2, (side - W) // 2
        square = cv2.copyMakeBorder(image, oy, side - H - oy, ox, side - W - ox, cv2.BORDER_CONSTANT)
        small = cv2.resize(square, (128, 128), interpolation=cv2.INTER_AREA)
        outs = self._detector(small.astype(np.float32) / 127.5 - 1)
        boxes = next(o for o in outs if o.shape[-1] == 16).reshape(-1, 16)
        scores = next(o for o in outs if o.shape[-1] == 1).reshape(-1)
        shift = np.array([ox, oy])
        found: list[tuple[np.ndarray, np.ndarray, float]] = []
        for i in np.argsort(-scores, kind="stable")[:most]:
            if found and scores[i] < LEAST_SCORE:
                break
            points = (boxes[i, 4:].reshape(6, 2) / 128 + ANCHORS[i]) * side - shift
            centre = (boxes[i, :2] / 128 + ANCHORS[i]) * side - shift
            found.append((points[:2], centre, float(boxes[i, 2:4].max()) / 128 * side))
        return found

    def _place(self, image: np.ndarray, eyes: np.ndarray, centre: np.ndarray, size: float) -> tuple[np.ndarray, float]:
        """Points [468, 3] in pixels and presence, from a square of 1.5 times the size with level eyes."""
        along = eyes[1] - eyes[0]
        angle = np.arctan2(along[1], along[0])
        k = 192 / (1.5 * max(size, 1.0))
        A = k * np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0]])
        A[:, 2] = 96 - A[:, :2] @ centre
        # warpAffine samples at integer pixels: our pixel centres lie half a pixel further
        half = A.copy()
        half[:, 2] += A[:, :2] @ [0.5, 0.5] - 0.5
        if k < 0.7:  # a large photograph: shrunk first, or the small picture would be full of jags
            shrink = 2 ** int(np.floor(np.log2(1 / k)))
            image = cv2.resize(image, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
            half = A.copy()
            half[:, :2] *= shrink
            half[:, 2] += half[:, :2] @ [0.5, 0.5] - 0.5
        crop = cv2.warpAffine(image, half, (192, 192), flags=cv2.INTER_LINEAR)
        outs = self._mesh(crop.astype(np.float32) / 255)
        presence = 1 / (1 + np.exp(-float(next(o for o in outs if o.size == 1).ravel()[0])))
        points = next(o for o in outs if o.size == 3 * COUNT).reshape(COUNT, 3).astype(np.float64)
        back = cv2.invertAffineTransform(A)
        return np.concatenate([points[:, :2] @ back[:, :2].T + back[:, 2], points[:, 2:] / k], 1), presence


def _bytes(picture: np.ndarray) -> np.ndarray:  # [H, W, 3] uint8, or float32 0..1
    """By OpenCV: NumPy takes a third of the time that all landmarks do."""
    return picture if picture.dtype == np.uint8 else cv2.convertScaleAbs(picture, alpha=255)


class _Net:
    def __init__(self, path: Path | zipfile.Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._model = path.read_bytes()  # not by name: it may lie inside a wheel; kept as long as the interpreter
        self._net = Interpreter(model_content=self._model, num_threads=2)
        self._net.allocate_tensors()

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        self._net.set_tensor(self._net.get_input_details()[0]["index"], image[None])
        self._net.invoke()
        return [self._net.get_tensor(out["index"]) for out in self._net.get_output_details()]


def _squares(shape: tuple[int, ...], parts: int) -> list[np.ndarray]:
    """Boxes [4] x0, y0, x1, y1 that cover a picture and overlap by half."""
    side = max(shape[:2]) / parts
    y, x = (np.arange(0, max(length - side / 2, 1), side / 2) for length in shape[:2])
    return [np.array([x0, y0, x0 + side, y0 + side]) for y0 in y for x0 in x]


def find_faces(
    landmarker: Landmarker, pictures: Sequence[np.ndarray], boxes: np.ndarray | None = None, check: Check = unchecked
) -> list[Face | None]:
    """The face of every picture. boxes: [views, 4], where the head is in each (rows of NaN: unknown)."""
    found = []
    for i, picture in enumerate(pictures):
        check()
        region = None if boxes is None or not np.isfinite(boxes[i]).all() else boxes[i]
        found.append(landmarker.find(picture, region))
    return found


def _frontal(points: np.ndarray) -> np.ndarray:  # [468, 3] -> [468]
    """How much each landmark's surroundings face the camera: the face mesh's own depth tells a profile's far side."""
    out = points - points.mean(0)
    # the face looks along the normal of its four most rigid points
    right, left, chin, top = (points[i] for i in (*EYES, CHIN, FOREHEAD))
    across, down = left - right, chin - top
    forward = np.cross(down, across)  # pixels: x right, y down, z away
    forward /= max(np.linalg.norm(forward), 1e-9)
    across = across / max(np.linalg.norm(across), 1e-9)
    # a head is round: its surface turns by about 60 degrees from the nose to the edge of the face
    half = max(float(np.abs(out @ across).max()), 1e-9)
    turn = np.clip(out @ across / half, -1, 1)[:, None] * np.radians(60)
    normal = np.cos(turn) * forward + np.sin(turn) * across
    return np.clip(-normal[:, 2], 0, 1)


def _turned_box(region: np.ndarray | None, turn: int, shape: tuple[int, ...]) -> np.ndarray | None:
    if region is None or turn == 0:
        return region
    H, W = shape[:2]
    corners = np.array([[region[0], region[1]], [region[2], region[3]]], float)
    for _ in range(turn):
        corners = np.stack([corners[:, 1], W - corners[:, 0]], 1)
        H, W = W, H
    return np.concatenate([corners.min(0), corners.max(0)])


def _turned_back(points: np.ndarray, turn: int, shape: tuple[int, ...]) -> np.ndarray:
    x, y, z = points.T
    H, W = shape[:2]
    if turn == 1:  # rot90 once: (x, y) -> (y, W - x)
        x, y = W - y, x
    elif turn == 2:
        x, y = W - x, H - y
    elif turn == 3:
        x, y = y, H - x
    return np.stack([x, y, z], 1)

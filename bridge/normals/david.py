"""DAViD's single-view normal and foreground models (Microsoft, MIT) through the same interface.

Their ONNX files are not part of the product: `python -m bridge weights david` fetches them on request. Interface of
both: one input (1, 3, 512, 512), BGR in 0..1; normals (1, 3, 512, 512), foreground (1, 1, 512, 512).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..capture.cameras import Camera
from ..capture.normal_map import NormalMap
from ..errors import Cancelled
from .sessions import checked, run, session, sha256
from .warp import map_camera, resized

NORMAL_FILE, FOREGROUND_FILE = "normal-model-vitl16_384.onnx", "foreground-segmentation-model-vitl16_384.onnx"
INPUT = 512  # pixels
RECORD = "david.json"  # written by the fetch; with it the checksums are checked


class Foreground:
    """The foreground model alone: the matte of one view, whoever predicts its normals."""

    def __init__(self, file: Path, device: str = "auto") -> None:
        self.file, self.device, self._model = file, device, None
        self.name = f"foreground {sha256(file)[:12]}"

    @classmethod
    def found(cls, folder: Path, device: str = "auto") -> Foreground | None:
        """The model where it was fetched to; None where it is not. Raises ValueError if it is damaged."""
        file = folder / FOREGROUND_FILE
        if not file.is_file():
            return None
        if (folder / RECORD).is_file():
            checked(folder, RECORD, "foreground")
        return cls(file, device)

    def matte(self, image: np.ndarray, target: Camera, cancelled: Callable[[], bool]) -> np.ndarray:
        """[h, w] float32 0..1 of an image [H, W, 3] sRGB 0..1, at the size of a map's camera. Raises Cancelled."""
        square, box = padded(image, INPUT)
        matte = unpadded(_run(self._session(), _feed(square), cancelled)[0], box, target)
        return matte.clip(0, 1)

    def _session(self):
        if self._model is None:  # over a gigabyte: only when a mask is missing
            self._model = session(self.file, self.device)
        return self._model


class DavidPredictor:
    """Each view alone: aspect kept by padding with replicated border, as the paper does."""

    def __init__(self, folder: Path, device: str = "auto") -> None:
        file = folder / NORMAL_FILE
        if not file.is_file():
            raise ValueError(
                f"DAViD's {NORMAL_FILE} is not in {folder}; fetch it ('python -m bridge weights david') "
                "or choose the network."
            )
        if (folder / RECORD).is_file():
            checked(folder, RECORD, "normals")
        self.normal = session(file, device)
        self.foreground = Foreground.found(folder, device)
        self.provider = self.normal.get_providers()[0]
        self.name = f"david {sha256(file)[:12]}"

    def predict(
        self,
        images: Sequence[np.ndarray],
        cameras: Sequence[Camera],
        masks: Sequence[np.ndarray | None],
        *,
        size: int = 512,
        progress: Callable[[int, int], None] = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[NormalMap]:
        if self.foreground is None and any(mask is None for mask in masks):
            raise ValueError(
                f"Some views have no mask and DAViD's {FOREGROUND_FILE} is not beside its normal model; give "
                "masks, fetch the file or choose the network."
            )
        maps = []
        for image, camera, mask in zip(images, cameras, masks, strict=True):
            if cancelled():
                raise Cancelled
            maps.append(self._one(image, map_camera(camera, size), mask, cancelled))
            progress(len(maps), len(images))
        signs = axis_signs(maps)
        return [replace(m, normals=m.normals * signs) for m in maps]

    def _one(self, image: np.ndarray, target: Camera, mask: np.ndarray | None, cancelled) -> NormalMap:
        square, box = padded(image, INPUT)
        normals = _run(self.normal, _feed(square), cancelled).transpose(1, 2, 0)
        if mask is not None:
            matte = resized(mask, target)
        else:
            assert self.foreground is not None  # predict() saw to it
            matte = self.foreground.matte(image, target, cancelled)
        matte = matte.clip(0, 1)
        normals = unpadded(normals, box, target)
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        matte = np.where((matte > 0.02) & (length[..., 0] > 1e-3), matte, 0).astype(np.float32)
        normals = np.where(matte[..., None] > 0, normals / np.maximum(length, 1e-6), 0).astype(np.float32)
        return NormalMap(target, normals, matte, None)


def axis_signs(maps: Sequence[NormalMap]) -> np.ndarray:
    """Signs [3] that make the model's axes ours (x right, y up, z to the camera), from the pictures themselves.

    Every surface turns away at its outline, so on the matte's rim normals lean outward; and all that is seen faces the
    camera. A sign is changed only where the views agree that it is wrong.
    """
    import cv2

    lean, strength, facing = np.zeros(2), 1e-9, 0.0
    for m in maps:
        soft = cv2.GaussianBlur(m.matte, (0, 0), max(1.0, 0.01 * m.matte.shape[1]))
        outward = -np.stack([cv2.Sobel(soft, cv2.CV_32F, 1, 0), -cv2.Sobel(soft, cv2.CV_32F, 0, 1)], -1)
        rim = (m.matte > 0.5)[..., None]
        lean += (outward * m.normals[..., :2] * rim).sum((0, 1))
        strength += float((np.abs(outward) * np.abs(m.normals[..., :2]) * rim).sum() / 2)
        facing += float(m.normals[..., 2].sum())
    wrong = np.array([lean[0] < -0.3 * strength, lean[1] < -0.3 * strength, facing < 0])
    return np.where(wrong, -1, 1).astype(np.float32)


def _feed(square: np.ndarray) -> np.ndarray:  # [1, 3, s, s] BGR
    return np.ascontiguousarray(square[None, :, :, ::-1].transpose(0, 3, 1, 2))


def _run(model, feed: np.ndarray, cancelled: Callable[[], bool]) -> np.ndarray:  # [c, h, w]
    return run(model, {model.get_inputs()[0].name: feed}, cancelled)[0][0]


def padded(image: np.ndarray, size: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Image [H, W, 3] in the middle of a square [size, size, 3]; the box (x, y, w, h) it fills."""
    import cv2

    height, width = image.shape[:2]
    scale = size / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = (size - w) // 2, (size - h) // 2
    square = cv2.copyMakeBorder(small, y, size - h - y, x, size - w - x, cv2.BORDER_REPLICATE)
    return square.astype(np.float32), (x, y, w, h)


def unpadded(values: np.ndarray, box: tuple[int, int, int, int], target: Camera) -> np.ndarray:
    """The part of a square map that the image fills, at the target's size."""
    import cv2

    x, y, w, h = box
    part = np.ascontiguousarray(values[y : y + h, x : x + w], np.float32)
    return cv2.resize(part, (target.width, target.height), interpolation=cv2.INTER_LINEAR)

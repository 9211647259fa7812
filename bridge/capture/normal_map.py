"""What is known of one view's surface, pixel by pixel, and who predicts it: shared by predictors, solver, check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .cameras import Camera


@dataclass(frozen=True, eq=False)
class NormalMap:
    """What a predictor says about one view, sampled by the real camera at the map's size."""

    camera: Camera  # the view's camera resized to the map, no distortion
    normals: np.ndarray  # [h, w, 3] float32 unit, camera space, x right y up z to the camera; 0 where the matte is 0
    matte: np.ndarray  # [h, w] float32 0..1
    confidence: np.ndarray | None  # [h, w] float32 0..1; exp(-expected error / 20 degrees) for the network
    canonical: np.ndarray | None = None  # [h, w, 3] float32: point of the canonical head (units of 140 mm) that is seen


class NormalPredictor(Protocol):
    """Whatever makes normal maps of photographs: the network, DAViD, or a stand-in of the tests."""

    name: str  # with the weights' checksum: results may be cached by it
    provider: str  # the one ONNX Runtime really uses

    def predict(
        self,
        images: Sequence[np.ndarray],
        cameras: Sequence[Camera],
        masks: Sequence[np.ndarray | None],
        *,
        size: int = 512,
        progress: Callable[[int, int], None] = ...,
        cancelled: Callable[[], bool] = ...,
    ) -> list[NormalMap]:
        """images [H, W, 3] float32 sRGB 0..1 without distortion, masks [H, W] float32 or None (given ones replace the
        predicted matte); size: longer side of the maps in pixels. Raises errors.Cancelled if asked to end."""
        ...

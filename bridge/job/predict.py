"""Stage: the normals of every view, from a predictor (kept by content) or from the capture's measured maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..capture.cameras import Camera
from ..capture.inputs import measured_map
from ..capture.normal_map import NormalMap
from ..service.protocol import Status
from .cache import key_of, parts_of
from .record import Cached, Job, Tools

VERSION = "mattes 2"  # part of the cache's key: other mattes are cut from the same predictions
_FIELDS = ("normals", "matte", "confidence", "canonical")


def read_measured(job: Job, tools: Tools) -> None:
    """Stage: the normal maps that the capture brings."""
    count = len(job.inputs.photos)
    for i in range(count):
        job.inputs.maps.append(measured_map(job.inputs, i))
        tools.report.step(i + 1, count)


def predict(job: Job, tools: Tools) -> None:
    """Normals, mattes, confidence and canonical points of all views together."""
    inputs = job.inputs
    inputs.maps = tools.predictors.of(job.settings).predict(
        inputs.pixels,
        inputs.cameras,
        inputs.given_masks,
        size=job.map_size,
        progress=tools.report.step,
        cancelled=tools.report.control.cancel.is_set,
    )


def _key(job: Job, tools: Tools) -> str:
    predictor = tools.predictors.of(job.settings)
    job.inputs.provider = predictor.provider
    if job.settings.device == "auto":
        tools.report.send(Status(job.run.id, f"Normals are predicted on: {predictor.provider}."))
    views = [part for view in job.inputs.capture.views for part in parts_of(view)]
    return key_of([VERSION, predictor.name, str(job.map_size), *views, *(camera.K for camera in job.inputs.cameras)])


def _pack(job: Job) -> dict[str, np.ndarray]:
    """float16 loses at most 0.03 degrees of a normal and halves the cache."""
    named = {f"{key}{i}": getattr(found, key) for i, found in enumerate(job.inputs.maps) for key in _FIELDS}
    return {name: values.astype(np.float16) for name, values in named.items() if values is not None}


def _unpack(job: Job, arrays: dict[str, np.ndarray]) -> None:
    job.inputs.maps = _restored(arrays, job.inputs.cameras)


def _restored(arrays: dict[str, np.ndarray], cameras: Sequence[Camera]) -> list[NormalMap]:
    maps = []
    for i, camera in enumerate(cameras):
        found: dict = {key: arrays[f"{key}{i}"].astype(np.float32) for key in _FIELDS if f"{key}{i}" in arrays}
        height, width = found["matte"].shape
        maps.append(NormalMap(camera.resize(width, height), **{"confidence": None} | found))
    return maps


CACHED = Cached(_key, _pack, _unpack)

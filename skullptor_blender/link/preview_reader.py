"""Reads and shades the files of growing meshes in a thread, so that the window never waits for a disk. No bpy."""

from __future__ import annotations

import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

BASE = np.array([0.62, 0.56, 0.52])
LIGHT = np.array([0.35, -0.5, 0.79])


@dataclass(frozen=True, eq=False)
class Shaded:
    """A mesh as the graphics card takes it."""

    vertices: np.ndarray  # [V, 3] float32
    faces: np.ndarray  # [F, 3] int32
    colours: np.ndarray  # [V, 4] float32


def shade(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Clay colours [V, 4] from vertex normals and a soft light from above."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    index = faces.ravel()
    normals: np.ndarray = np.stack(
        [np.bincount(index, np.repeat(face_normals[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    light = 0.55 + 0.45 * (normals @ (LIGHT / np.linalg.norm(LIGHT)))
    colours = np.ones((len(vertices), 4), np.float32)
    colours[:, :3] = BASE * light[:, None]
    return colours


def read(path: Path) -> Shaded | None:
    """The mesh of a preview file; None when it is not there or not whole: the next one comes soon."""
    try:
        with np.load(path, allow_pickle=False) as file:
            vertices = np.ascontiguousarray(file["vertices"], np.float32)
            faces = np.ascontiguousarray(file["faces"], np.int32)
        return Shaded(vertices, faces, shade(vertices, faces))
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        return None


class Reader:
    """Of the files it is asked for it reads the newest; while it reads, earlier wishes are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: Path | None = None
        self._ready: Shaded | None = None
        self._busy = False

    def ask(self, path: str) -> None:
        with self._lock:
            self._wanted = Path(path)
            if self._busy:
                return
            self._busy = True
        threading.Thread(target=self._run, daemon=True, name="skullptor-preview").start()

    def take(self) -> Shaded | None:
        """What was read since the last call, if anything; never waits."""
        with self._lock:
            ready, self._ready = self._ready, None
            return ready

    def _run(self) -> None:
        while True:
            with self._lock:
                path, self._wanted = self._wanted, None
                if path is None:
                    self._busy = False
                    return
            found = read(path)
            with self._lock:
                self._ready = found or self._ready

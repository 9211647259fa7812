"""One camera's video, decoded once and forwards: a frame is never sought while the next one lies ahead."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import BridgeError

VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm")


class Video:
    """Pictures of a video by their index from 0. Opened when the first is asked for, and kept open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: cv2.VideoCapture | None = None
        self._next = 0  # index of the picture that the reader gives next
        self._last: np.ndarray | None = None
        self.count = max(0, int(self._open().get(cv2.CAP_PROP_FRAME_COUNT)))
        if not self.count:
            raise unreadable(path)

    def read(self, index: int) -> np.ndarray | None:  # [H, W, 3] uint8 BGR, as images.write takes it
        """One picture, None past the end. Going back reads the video from its start again."""
        if index == self._next - 1 and self._last is not None:
            return self._last
        reader = self._reader if self._reader is not None and index >= self._next else self._open()
        while self._next < index:
            if not reader.grab():
                return None
            self._next += 1
        ok, pixels = reader.read()
        if not ok:
            return None
        self._next += 1
        self._last = pixels
        return self._last

    def _open(self) -> cv2.VideoCapture:
        reader = cv2.VideoCapture(str(self.path))
        if not reader.isOpened():
            raise unreadable(self.path)
        self._reader, self._next, self._last = reader, 0, None
        return reader


def unreadable(path: Path) -> BridgeError:
    """The refusal of a file that OpenCV cannot decode."""
    return BridgeError(
        "video", f"The video '{path.name}' cannot be decoded.", "Save it as H.264 .mp4, or as numbered pictures."
    )

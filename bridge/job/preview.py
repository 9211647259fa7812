"""The growing mesh for the viewport: written now and then while a stage works."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import BridgeError
from ..report import results
from ..service.protocol import Preview
from ..service.reporter import Reporter
from ..solve import Mesh

SECONDS = 0.3  # between two previews


class Previews:
    """Offers the mesh to whoever watches, at most every SECONDS."""

    def __init__(self, report: Reporter, folder: Path) -> None:
        self._report, self._folder = report, folder
        self._last = time.monotonic()
        self._count = 0

    def offer(self, mesh: Callable[[], Mesh]) -> None:
        """mesh: called only if a preview is due."""
        if time.monotonic() - self._last <= SECONDS:
            return
        shown = mesh()
        # two names in turn, so that the reader of one is never overtaken
        path = self._folder / f"preview{self._count % 2}.npz"
        self._last = time.monotonic()
        with contextlib.suppress(BridgeError):  # a full disk ends no run over a look at it: it may be empty by the end
            results.write_npz(path, vertices=shown.vertices.astype(np.float32), faces=shown.faces)
            self._report.send(Preview(self._report.id, str(path)))
        self._count += 1

    def remove(self) -> None:
        for leftover in self._folder.glob("preview?.npz"):
            leftover.unlink(missing_ok=True)

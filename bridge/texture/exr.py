"""OpenEXR files of plain numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files import atomic


def write_exr(path: Path, image: np.ndarray) -> None:
    """image [H, W] float32 as the 32-bit channel Y, losslessly compressed."""
    import OpenEXR  # as in capture/images.py: needed by those who write such a map only

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with atomic(path) as temporary:
        OpenEXR.File(header, {"Y": np.ascontiguousarray(image, np.float32)}).write(str(temporary))

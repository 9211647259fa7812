"""A capture with other cameras, as a folder of its own that every command reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..capture import record as captures
from ..files import claim_folder, file_names, link_or_copy


def write_capture(capture: captures.Capture, folder: Path) -> Path:
    """capture.json and, linked or copied, the files of its views; returns its path. Ground truth stays behind: it is
    in the frame of the given cameras. Raises BridgeError "output"."""
    views = []
    for view, name in zip(capture.views, file_names(view.name for view in capture.views), strict=True):
        files = {}
        for key, place in (("image", "images"), ("mask", "masks"), ("normals", "normals")):
            if (source := getattr(view, key)) is not None:
                claim_folder(folder / place)
                files[key] = folder / place / f"{name}{source.suffix.lower()}"
                files[key].unlink(missing_ok=True)
                link_or_copy(source, files[key])
        views.append(captures.View(view.camera, **files))
    return captures.save(replace(capture, views=tuple(views), evaluation=None), folder)

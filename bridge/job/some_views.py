"""Some of a capture's views as a capture of their own: reconstruct --views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..capture import record as captures
from ..errors import BridgeError
from ..files import claim_folder, link_or_copy


def some_views(path: Path, wanted: str, folder: Path) -> Path:
    """A capture in `folder` with the views that are wanted: the first so many ("3"), or by name ("front,left").

    Its files are links to the capture's at `path`. Raises BridgeError "capture" and "views".
    """
    capture = captures.load(path)
    claim_folder(folder)
    views = []
    for i, view in enumerate(_picked(capture, wanted)):
        placed = replace(view, image=_linked(view.image, folder / "images", i))
        if view.mask is not None:
            placed = replace(placed, mask=_linked(view.mask, folder / "masks", i))
        if view.normals is not None:
            placed = replace(placed, normals=_linked(view.normals, folder / "normals", i))
        views.append(placed)
    captures.save(replace(capture, views=tuple(views), evaluation=None), folder)
    return folder


def _linked(source: Path, folder: Path, number: int) -> Path:
    """A file in another folder; one that is missing is missing there too, and is told of as always."""
    target = folder / f"{number:02d}-{source.name}"
    folder.mkdir(exist_ok=True)
    if source.is_file():
        link_or_copy(source, target)
    return target


def _picked(capture: captures.Capture, wanted: str) -> tuple[captures.View, ...]:
    by_name = {view.name: view for view in capture.views}
    if wanted not in by_name and wanted.isdecimal():
        count = int(wanted)
        if not 1 <= count <= len(capture.views):
            raise BridgeError(
                "views",
                f"'{capture.name}' has {len(capture.views)} views, not {count}.",
                f"Ask for 1 to {len(capture.views)}, or for views by name.",
            )
        return capture.views[:count]
    names = [name.strip() for name in wanted.split(",")]
    for name in names:
        if name not in by_name:
            raise BridgeError(
                "views", f"'{capture.name}' has no view '{name}'.", f"It has {', '.join(sorted(by_name))}."
            )
    return tuple(by_name[name] for name in dict.fromkeys(names))

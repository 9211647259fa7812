"""Write an imported rig as a capture folder: images and masks hard-linked (copied across disks), capture.json last."""

from __future__ import annotations

import contextlib
import filecmp
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ..capture import pillow
from ..capture import record as captures
from ..capture.record import Capture, View
from ..errors import BridgeError
from ..files import claim_folder, link_or_copy, unwritable
from .records import Rig

FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x1f]')


def write(
    rig: Rig,
    folder: Path,
    *,
    unit_mm: float | None = None,
    replace_capture: bool = False,
    turn: Callable[[Capture], Capture] | None = None,
    more: Callable[[Path], None] | None = None,
) -> Capture:
    """The capture as it is read back from the folder. Raises BridgeError.

    turn: a last change of the capture before it is saved, such as upright.apply. more: writes further files into the
    folder. A new folder appears whole or not at all.
    """
    if not rig.views:
        raise BridgeError("import", "No camera with a pose was found.", *rig.notes[:1])
    _same_image_twice(rig.views)
    if (folder / "capture.json").exists() and not replace_capture:
        raise BridgeError(
            "output",
            f"'{folder}' holds a capture already.",
            "Choose another folder, or add --replace to write it anew.",
        )
    with _whole(folder) as place:
        views = []
        for view, name in zip(rig.views, _names(rig.views)):
            image = _place_image(view, place / "images" / f"{name}{view.image.suffix.lower()}")
            mask = view.mask and _place(view.mask, place / "masks" / f"{name}{view.mask.suffix.lower()}")
            views.append(View(replace(view.camera, name=name), image, mask))
        unit = unit_mm if unit_mm is not None else rig.unit_mm
        capture = Capture(folder.resolve().name, tuple(views), unit, notes=list(rig.notes) or None)
        if more is not None:
            more(place)
        captures.save(capture if turn is None else turn(capture), place)
    return captures.load(folder)


@contextlib.contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to write to that takes its name when the block ends well; one that holds files is written in place."""
    if folder.is_dir() and any(folder.iterdir()):
        claim_folder(folder)
        yield folder
        return
    partial = folder.resolve().with_name(f".{folder.resolve().name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # left by a run that was killed
    claim_folder(partial)
    try:
        yield partial
        if folder.is_dir():
            folder.rmdir()
        partial.rename(folder.resolve())
    except OSError as error:
        raise unwritable(folder, error) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _same_image_twice(views: tuple[View, ...]) -> None:
    first: dict[Path, str] = {}
    for view in views:
        key = view.image.resolve()
        if key in first:
            raise BridgeError(
                "image-ambiguous",
                f"The cameras '{first[key]}' and '{view.name}' both found the image '{view.image.name}'.",
                "Give the folder with one image per camera, with --images.",
            )
        first[key] = view.name


def _names(views: tuple[View, ...]) -> list[str]:
    """A name for every view that is unique without regard to case and may be a file's name anywhere."""
    names = [FORBIDDEN.sub("_", view.name).strip(" .") or "view" for view in views]
    counts = Counter(name.casefold() for name in names)
    names = [
        f"{FORBIDDEN.sub('_', view.image.parent.name)}_{name}" if counts[name.casefold()] > 1 else name
        for view, name in zip(views, names)
    ]
    taken: set[str] = set()
    for index, name in enumerate(names):
        number = 2
        while names[index].casefold() in taken:
            names[index], number = f"{name}_{number}", number + 1
        taken.add(names[index].casefold())
    return names


def _place_image(view: View, target: Path) -> Path:
    """The image as it is; written anew where its stored pixels lie on their side, or Blender could not show it."""
    foreign = target.suffix in pillow.FOREIGN
    if not foreign and (target.suffix == ".exr" or not _lies(view)):
        return _place(view.image, target)
    target = target.with_suffix(".jpg") if foreign else target
    target.parent.mkdir(parents=True, exist_ok=True)
    pillow.write_upright(view.image, target)
    return target


def _lies(view: View) -> bool:
    with pillow.opened(view.image, f"the image of view '{view.name}'") as image:
        return image.size == (view.camera.height, view.camera.width) and pillow.lies_on_its_side(image)


def _place(source: Path, target: Path) -> Path:
    """Link or copy a file into the capture. A different file that is there already is never touched."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if target.samefile(source) or filecmp.cmp(source, target, shallow=False):
            return target
        raise BridgeError(
            "output",
            f"'{target}' exists already and is another file than '{source.name}'.",
            "Choose an empty folder for the capture.",
        )
    link_or_copy(source, target)
    return target

"""Find the photographs that a calibration file names, and their masks, whatever folder or spelling it uses.

Calibration files carry paths of other machines, other cases of letters, other extensions or none. A name is compared
from its end: as many trailing path parts as agree, with the extension before without it, case ignored. Two equally
good answers are refused: a camera with another camera's photograph would cost the user an hour.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from ..errors import BridgeError

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".exr", ".bmp", ".webp", ".hdr"}
FILES_LIMIT = 50_000  # a folder with more is surely not the one that was meant
MASK_FOLDERS = {"mask", "masks", "matte", "mattes"}


@dataclass
class Pictures:
    """images, masks: the folders the user gave. source: the calibration file, around which is searched otherwise."""

    source: Path
    images: Path | None = None
    masks: Path | None = None
    _indexes: dict[Path, _Index] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for option, folder in (("--images", self.images), ("--masks", self.masks)):
            if folder is not None and not folder.is_dir():
                raise BridgeError("image-missing", f"'{folder}' is no folder.", f"Give an existing folder as {option}.")

    def find(self, name: str, where: str) -> Path:
        """The image file that a calibration file calls name. Raises BridgeError image-missing, image-ambiguous."""
        for index in self._folders():
            found = index.find(name)
            if len(found) > 1:
                places = ", ".join(f"'{path.relative_to(index.root).as_posix()}'" for path in found[:3])
                raise BridgeError(
                    "image-ambiguous",
                    f"{where}: the name '{name}' fits several images: {places}.",
                    "Give the folder that holds only the images of this capture, with --images.",
                )
            if found:
                return found[0]
        raise BridgeError(
            "image-missing",
            f"{where}: the image '{name}' is not in '{self._asked()}'.",
            "Give the folder of the images with --images.",
        )

    def frame(self, folder: str) -> tuple[Path, int] | None:
        """The first image in the folder of a camera (a rig that records sequences), and how many there are."""
        for index in self._folders():
            inside = index.inside(folder)
            if inside:
                return inside[0], len(inside)
        return None

    def all(self) -> list[Path]:
        """All images of the first folder that has any, in the order of their names."""
        for index in self._folders():
            files = [path for path, _ in index.entries if path.parent.name.lower() not in MASK_FOLDERS]
            if files:
                return files
        return []

    def size(self, path: Path, where: str) -> tuple[int, int]:
        """(width, height) of the stored pixels; the header only."""
        try:
            if path.suffix.lower() == ".exr":
                import OpenEXR

                with OpenEXR.File(str(path), header_only=True) as file:
                    low, high = file.header()["dataWindow"]
                return int(high[0] - low[0] + 1), int(high[1] - low[1] + 1)
            with PillowImage.open(path) as image:
                return image.size
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError, RuntimeError, KeyError) as error:
            raise BridgeError(
                "image-unreadable", f"{where}: the image '{path.name}' cannot be read: {error}.", "Copy it again."
            ) from None

    def mask(self, image: Path, view: str, size: tuple[int, int]) -> Path | None:
        """The mask of an image in the masks folder, None where there is none. Raises BridgeError mask-size."""
        if self.masks is None:
            return None
        index = self._index(self.masks)
        names = (image.name + ".png", image.stem, f"{image.stem}_mask", f"mask_{image.stem}", f"{view}")
        found = next((found for name in names if (found := index.find(name))), None) or index.numbered(image.stem)
        if not found:
            return None
        if len(found) > 1:
            raise BridgeError(
                "mask-ambiguous", f"View '{view}': several masks fit '{image.name}'.", "Give one folder with --masks."
            )
        actual = self.size(found[0], f"view '{view}'")
        if actual != size:
            raise BridgeError(
                "mask-size",
                f"View '{view}': the mask '{found[0].name}' has {actual[0]} x {actual[1]} pixels, its image "
                f"{size[0]} x {size[1]}.",
                "Export the masks at the size of the images.",
            )
        return found[0]

    def _asked(self) -> str:
        return str(self.images or self._near())

    def _near(self) -> Path:
        return self.source if self.source.is_dir() else self.source.parent

    def _folders(self) -> Iterator[_Index]:
        if self.images is not None:
            yield self._index(self.images)
            return
        near = self._near()
        # COLMAP keeps project/images beside project/sparse/0
        for base in (near, near.parent, near.parent.parent):
            for name in ("images", "image"):
                if (base / name).is_dir():
                    yield self._index(base / name)
        yield self._index(near)

    def _index(self, folder: Path) -> _Index:
        if folder not in self._indexes:
            self._indexes[folder] = _Index(folder)
        return self._indexes[folder]


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a path from any system, without drive, "." and ".."."""
    parts = PurePosixPath(name.strip().replace("\\", "/")).parts
    return tuple(_plain(part) for part in parts if part not in ("/", ".", "..") and not part.endswith(":"))


class _Index:
    """All images below a folder by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: list[tuple[Path, tuple[str, ...]]] = []
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                    path = Path(folder, name)
                    self.entries.append((path, _parts(path.relative_to(root).as_posix())))
            if len(self.entries) > FILES_LIMIT:
                raise BridgeError(
                    "image-ambiguous",
                    f"'{root}' holds more than {FILES_LIMIT} images.",
                    "Give the folder of this capture's images with --images.",
                )
        self.entries.sort(key=lambda entry: entry[1])

    def find(self, name: str) -> list[Path]:
        """The best matches of a name: longest tail of the path first, with the extension before without."""
        wanted = _parts(name)
        if not wanted:
            return []
        stem = (*wanted[:-1], _stem(wanted[-1]))
        candidates = [(path, parts) for path, parts in self.entries if _stem(parts[-1]) in (stem[-1], wanted[-1])]
        for count in range(len(wanted), 0, -1):
            exact = [path for path, parts in candidates if parts[-count:] == wanted[-count:]]
            if exact:
                return self._preferred(exact, name)
            # the other image formats, and names that come without any extension (which may hold dots of their own)
            loose = [
                p
                for p, parts in candidates
                if (*parts[:-1], _stem(parts[-1]))[-count:] in (stem[-count:], wanted[-count:])
            ]
            if loose:
                return self._preferred(loose, name)
        return []

    def inside(self, folder: str) -> list[Path]:
        wanted = _plain(folder)
        return [path for path, parts in self.entries if len(parts) > 1 and parts[-2] == wanted]

    def numbered(self, stem: str) -> list[Path]:
        """Images whose trailing number is that of stem: img_0007 and mask_007."""
        number = _trailing(stem)
        return [] if number is None else [path for path, _ in self.entries if _trailing(path.stem) == number]

    def _preferred(self, found: list[Path], name: str) -> list[Path]:
        """Of several equally named images the one of the very same spelling, then one in no folder of masks."""
        spelt = [path for path in found if path.name == PurePosixPath(name.replace("\\", "/")).name]
        found = spelt or found
        plain = [path for path in found if path.parent.name.lower() not in MASK_FOLDERS]
        found = plain or found
        at_top = [path for path in found if path.parent == self.root]
        return at_top if len(at_top) == 1 else found


def _stem(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix}" in SUFFIXES else name


def _trailing(stem: str) -> int | None:
    match = re.search(r"(\d{1,12})\D*$", stem)
    return int(match.group(1)) if match else None

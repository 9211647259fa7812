"""Find the photographs that a calibration file names, and their masks, whatever folder or spelling it uses.

Calibration files carry paths of other machines, other cases of letters, other extensions or none. A name is compared
from its end: as many trailing path parts as agree in any of the folders, with the extension before without it, case
ignored. Two equally good answers are refused: a camera with another camera's photograph would cost the user an hour.
"""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..capture import formats, pillow
from ..errors import BridgeError

FILES_LIMIT = 50_000  # a folder with more is surely not the one that was meant
MASK_FOLDERS = {"mask", "masks", "matte", "mattes"}


@dataclass
class Pictures:
    """images, masks: the folders the user gave. source: the calibration file, around which is searched otherwise."""

    source: Path
    images: Path | None = None
    masks: Path | None = None
    lost: list[BridgeError] = field(default_factory=list)  # the cameras whose image is not there
    renamed: list[str] = field(default_factory=list)  # images that have another format than their camera says
    _indexes: dict[Path, _Index] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for option, folder in (("--images", self.images), ("--masks", self.masks)):
            if folder is not None and not folder.is_dir():
                raise BridgeError("image-missing", f"'{folder}' is no folder.", f"Give an existing folder as {option}.")

    @contextlib.contextmanager
    def left_out(self) -> Iterator[None]:
        """A camera whose image is not there is left out: what the block raises for it goes to `lost`."""
        try:
            yield
        except BridgeError as error:
            if error.code != "image-missing":
                raise
            self.lost.append(error)

    def find(self, name: str, where: str) -> Path:
        """The image file that a calibration file calls name. Raises BridgeError image-missing, image-ambiguous."""
        found: list[Path] = []
        agreeing, root = 0, self._near()
        whole = len(_parts(name))
        for folder in self._folders():  # of equally good matches the one of the first folder
            try:
                index = self._index(folder)
            except BridgeError:  # too many images
                if found:
                    break
                raise
            better, count = index.find(name)
            if count > agreeing:
                found, agreeing, root = better, count, index.root
            if agreeing == whole:
                break
        if len(found) > 1:
            places = ", ".join(f"'{path.relative_to(root).as_posix()}'" for path in found[:3])
            raise BridgeError(
                "image-ambiguous",
                f"{where}: the name '{name}' fits several images: {places}.",
                "Give the folder that holds only the images of this capture, with --images.",
            )
        if not found:
            unread = formats.unread(path for folder in self._folders() for path in self._index(folder).unread)
            raise BridgeError(
                "image-missing",
                f"{where}: the image '{name}' is not in '{self._asked()}'"
                + (f", which holds {unread}" if unread else "."),
                "Give the folder of the images with --images.",
            )
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in formats.NAMED and not _alike(suffix, found[0].suffix.lower()):
            self.renamed.append(f"{_parts(name)[-1]} ({found[0].name})")
        return found[0]

    def frame(self, folder: str) -> tuple[Path, int] | None:
        """The first image in the folder of a camera (a rig that records sequences), and how many there are."""
        for place in self._folders():
            inside = self._index(place).inside(folder)
            if inside:
                return inside[0], len(inside)
        return None

    def all(self) -> list[Path]:
        """All images of the first folder that has any, in the order of their names."""
        for place in self._folders():
            files = [path for path, _ in self._index(place).entries if path.parent.name.lower() not in MASK_FOLDERS]
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
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise pillow.unreadable(path, f"the image of {where}", str(error)) from None
        with pillow.opened(path, f"the image of {where}") as image:
            return image.size

    def lies(self, path: Path) -> bool:
        """Does EXIF say that the image's stored pixels lie on their side?"""
        if path.suffix.lower() == ".exr":
            return False
        with pillow.opened(path) as image:
            return pillow.lies_on_its_side(image)

    def mask(self, image: Path, view: str, size: tuple[int, int]) -> Path | None:
        """The mask of an image in the masks folder, None where there is none. Raises BridgeError mask-size."""
        if self.masks is None:
            return None
        index = self._index(self.masks)
        stem = image.stem
        names = (
            f"{image.name}.png",
            f"{image.name}.mask.png",
            stem,
            f"{stem}_mask",
            f"{stem}.mask",
            f"mask_{stem}",
            view,
        )
        found = next((found for name in names if (found := index.find(name)[0])), None) or index.numbered(stem)
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

    def _folders(self) -> Iterator[Path]:
        if self.images is not None:
            yield self.images
            return
        near = self._near()
        # COLMAP keeps project/images beside project/sparse/0
        for base in (near, near.parent, near.parent.parent):
            for name in ("images", "image"):
                if (base / name).is_dir():
                    yield base / name
        yield near

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
        self.unread: list[Path] = []  # photographs that must be exported first
        readable = formats.readable()
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                path = Path(folder, name)
                if name.startswith(".") or path.suffix.lower() not in formats.NAMED:
                    continue
                if path.suffix.lower() in readable:
                    self.entries.append((path, _parts(path.relative_to(root).as_posix())))
                else:
                    self.unread.append(path)
            if len(self.entries) > FILES_LIMIT:
                raise BridgeError(
                    "image-ambiguous",
                    f"'{root}' holds more than {FILES_LIMIT} images.",
                    "Give the folder of this capture's images with --images.",
                )
        self.entries.sort(key=lambda entry: entry[1])

    def find(self, name: str) -> tuple[list[Path], int]:
        """The best matches of a name, longest tail of the path first, with the extension before without; and how many
        parts of the path agree."""
        wanted = _parts(name)
        if not wanted:
            return [], 0
        stem = (*wanted[:-1], _stem(wanted[-1]))
        candidates = [(path, parts) for path, parts in self.entries if _stem(parts[-1]) in (stem[-1], wanted[-1])]
        for count in range(len(wanted), 0, -1):
            exact = [path for path, parts in candidates if parts[-count:] == wanted[-count:]]
            if exact:
                return self._preferred(exact, name), count
            # the other image formats, and names that come without any extension (which may hold dots of their own)
            loose = [
                p
                for p, parts in candidates
                if (*parts[:-1], _stem(parts[-1]))[-count:] in (stem[-count:], wanted[-count:])
            ]
            if loose:
                return self._preferred(loose, name), count
        return [], 0

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
    return stem if dot and f".{suffix}" in formats.NAMED else name


def _alike(a: str, b: str) -> bool:
    """One ending, or two spellings of it."""
    return a == b or {a, b} <= set(formats.JPEG) or {a, b} <= {".tif", ".tiff"}


def _trailing(stem: str) -> int | None:
    match = re.search(r"(\d{1,12})\D*$", stem)
    return int(match.group(1)) if match else None

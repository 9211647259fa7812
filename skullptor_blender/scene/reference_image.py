"""The photograph of a camera: which one it is, how big, where it is drawn, and what of it goes into the capture."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np

from ..link import image_header
from ..link.capture_draft import Picture
from ..link.reference_names import SUFFIXES, NamedFiles, sequence_file
from .conventions import Placement

BLENDER_ONLY = frozenset({".tga", ".psd", ".dds", ".dpx", ".cin", ".rgb", ".rgba", ".sgi", ".bw"})


@dataclass
class Reference:
    """A camera's picture. It is used at once and never kept, because it may hold a bpy reference."""

    label: str
    path: Path | None = None  # of the file on disk
    image: bpy.types.Image | None = None  # when the picture lives in Blender
    packed: bytes | None = None
    placement: Placement = field(default_factory=Placement)
    problem: str = ""


VIEW_KEY = "skullptor_view"  # custom property of imported cameras: their view's name, which Blender may have cut short


class FolderOfImages:
    """Files by the name of their camera, read once."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(bpy.path.abspath(folder)) if folder else None
        self.exists = True
        paths: list[Path] = []
        if self.folder is not None:
            try:
                paths = list(self.folder.iterdir())
            except OSError:
                self.exists = False
        self._files = NamedFiles(paths)

    @property
    def count(self) -> int:
        return self._files.count

    def file_of(self, camera: bpy.types.Object) -> Path | None:
        return self._files.of(str(camera.data.get(VIEW_KEY, "")), camera.name)


def of_camera(ob: bpy.types.Object, scene: bpy.types.Scene, folder: FolderOfImages) -> Reference | None:
    """The camera's first visible background image, else the file with the camera's name."""
    data = ob.data
    if data.show_background_images:
        for background in data.background_images:
            if background.show_background_image:
                reference = _of_background(background, scene.frame_current)
                if reference is not None:
                    reference.placement = _placement(background, reference.image)
                    return reference
    if path := folder.file_of(ob):
        return Reference(path.name, path, placement=Placement("FIT"))
    return None


def _placement(background: bpy.types.CameraBackgroundImage, image: bpy.types.Image | None) -> Placement:
    aspect = background.image.display_aspect if background.image else (1.0, 1.0)
    return Placement(
        method=background.frame_method,
        scale=background.scale,
        rotation=background.rotation,
        offset=tuple(background.offset),
        flip_x=background.use_flip_x,
        flip_y=background.use_flip_y,
        pixel_aspect=aspect[0] / aspect[1],
    )


def _of_background(background: bpy.types.CameraBackgroundImage, frame: int) -> Reference | None:
    if background.source == "MOVIE_CLIP":
        clip = background.clip
        if clip is None:
            return None
        if clip.source != "SEQUENCE":
            return Reference(clip.name, problem="has a movie as its background")
        path = absolute(clip.filepath, clip.library)
        return Reference(clip.name, sequence_file(path, frame - clip.frame_start + clip.frame_offset))
    if background.image is None:
        return None
    return of_image(background.image, frame, background.image_user)


def of_image(image: bpy.types.Image, frame: int, user: bpy.types.ImageUser | None = None) -> Reference:
    """An image datablock at a frame; an image sequence needs the user that says how it runs."""
    if image.source in ("MOVIE", "TILED", "VIEWER"):
        return Reference(image.name, problem=f"has a background of the kind {image.source.lower()}")
    if image.source == "SEQUENCE":
        number = sequence_number(user, frame) if user else frame
        if number is None:
            return Reference(image.name, problem=f"has no picture at frame {frame} in its image sequence")
        return Reference(image.name, sequence_file(absolute(image.filepath, image.library), None, number))
    if image.source == "GENERATED" or image.is_dirty:
        return Reference(image.name, image=image)
    if image.packed_file is not None:
        return Reference(image.name, image=image, packed=image.packed_file.data)
    return Reference(image.name, absolute(image.filepath, image.library))


def absolute(path: str, library: bpy.types.Library | None) -> Path:
    return Path(os.path.normpath(bpy.path.abspath(path, library=library)))


def sequence_number(user: bpy.types.ImageUser, frame: int) -> int | None:
    """The file number that an image user shows at a frame, None outside its range."""
    at = frame - user.frame_start + 1
    if user.use_cyclic and user.frame_duration:
        at = (at - 1) % user.frame_duration + 1
    elif at < 1 or at > user.frame_duration:
        # Blender shows nothing outside the range of a background's sequence
        return None
    return at + user.frame_offset


def size_of(reference: Reference) -> tuple[int, int]:
    """Pixels of the picture itself; (0, 0) when it cannot be read. Decoding is left to Blender only if it must be."""
    if reference.path is not None:
        with contextlib.suppress(OSError, image_header.Unreadable):
            if header := image_header.read(reference.path):
                return header.width, header.height
        return _size_by_loading(reference.path)
    width, height = reference.image.size
    return width, height


def _size_by_loading(path: Path) -> tuple[int, int]:
    try:
        with loaded(path) as image:
            return tuple(image.size)
    except RuntimeError:
        return 0, 0


def lies(reference: Reference) -> bool:
    """Does the file's EXIF say that its pixels lie on their side?"""
    if reference.path is not None:
        with contextlib.suppress(OSError, image_header.Unreadable):
            header = image_header.read(reference.path)
            return header is not None and header.lies
    return False


def has_all_rows(path: Path) -> bool:
    """Does a JPEG lack nothing but its end marker? Noise behind the last row is ignored by a decoder; where rows are
    missing it becomes a part of the picture, and other noise makes another picture."""
    try:
        data = path.read_bytes()
        pictures = set()
        with tempfile.TemporaryDirectory(prefix="skullptor-") as folder:
            for seed in range(4):
                noise = np.random.default_rng(seed).integers(0, 255, 4096, np.uint8).tobytes()
                file = Path(folder, f"{seed}.jpg")
                file.write_bytes(data + noise + b"\xff\xd9")
                with loaded(file) as image:
                    pictures.add(hashlib.sha256(pixels_of(image).tobytes()).digest())
    except (OSError, RuntimeError, ValueError):
        return False
    return len(pictures) == 1


@contextlib.contextmanager
def loaded(path: Path) -> Iterator[bpy.types.Image]:
    """The file as an image of Blender's, which goes again unless it was there before. Raises RuntimeError."""
    known = {image.as_pointer() for image in bpy.data.images}
    image = bpy.data.images.load(str(path), check_existing=True)
    try:
        yield image
    finally:
        if image.as_pointer() not in known:
            bpy.data.images.remove(image)


def picture_of(reference: Reference) -> Picture:
    """What the capture needs of it, without Blender. A format that only Blender reads is written out as PNG."""
    if reference.path is not None:
        suffix = reference.path.suffix.lower()
        if suffix not in BLENDER_ONLY:
            return Picture(suffix, source=reference.path)
        with loaded(reference.path) as image:
            return Picture(".png", pixels=pixels_of(image))
    if reference.packed is not None:
        suffix = Path(reference.image.filepath or reference.image.name).suffix.lower()
        if suffix in BLENDER_ONLY:
            return Picture(".png", pixels=pixels_of(reference.image))
        if suffix not in SUFFIXES:
            suffix = ".png" if reference.packed.startswith(b"\x89PNG") else ".jpg"
        return Picture(suffix, data=reference.packed)
    return Picture(".png", pixels=pixels_of(reference.image))


def pixels_of(image: bpy.types.Image) -> np.ndarray:
    """The picture as sRGB bytes [H, W, 4], first row on top."""
    width, height = image.size
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    values = values.reshape(height, width, image.channels)[::-1]
    rgba = np.ones((height, width, 4), np.float32)
    if image.channels >= 3:
        rgba[..., : image.channels] = values
    else:
        rgba[..., :3] = values[..., :1]
    if image.is_float:  # linear light; 8 bit pictures come as they are stored
        colour = np.clip(rgba[..., :3], 0, 1)
        rgba[..., :3] = np.where(colour <= 0.0031308, 12.92 * colour, 1.055 * colour ** (1 / 2.4) - 0.055)
    return (np.clip(rgba, 0, 1) * 255 + 0.5).astype(np.uint8)

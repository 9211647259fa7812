"""The photograph of a camera: which one it is, how big, where it is drawn, and what of it goes into the capture."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np

from ..link import image_header
from ..link.capture_draft import Picture
from ..link.reference_names import SUFFIXES, sequence_file
from .conventions import Placement


@dataclass
class Reference:
    """A camera's picture. It is used at once and never kept, because it may hold a bpy reference."""

    label: str
    path: Path | None = None  # of the file on disk
    image: bpy.types.Image | None = None  # when the picture lives in Blender
    packed: bytes | None = None
    placement: Placement = field(default_factory=Placement)
    problem: str = ""


class FolderOfImages:
    """Files by the name of their camera, read once."""

    def __init__(self, folder: str) -> None:
        self.files: dict[str, Path] = {}
        if folder:
            with contextlib.suppress(OSError):
                for path in sorted(Path(bpy.path.abspath(folder)).iterdir()):
                    if path.suffix.lower() in SUFFIXES:
                        self.files.setdefault(path.stem, path)
                        self.files.setdefault(path.name, path)  # a camera may be called IMG_0001.JPG

    def file_of(self, camera: str) -> Path | None:
        return self.files.get(camera)


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
    if path := folder.file_of(ob.name):
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
    known = {image.as_pointer() for image in bpy.data.images}
    try:
        image = bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError:
        return 0, 0
    width, height = image.size
    if image.as_pointer() not in known:
        bpy.data.images.remove(image)
    return width, height


def picture_of(reference: Reference) -> Picture:
    """What the capture needs of it, without Blender."""
    if reference.path is not None:
        return Picture(reference.path.suffix.lower(), source=reference.path)
    if reference.packed is not None:
        suffix = Path(reference.image.filepath or reference.image.name).suffix.lower()
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

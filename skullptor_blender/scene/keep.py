"""Captures of scenes that were not saved yet lie in the cache; with the first save they move beside the .blend."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import bpy

from .cameras import SOURCE_KEY


def place(source: str, target: str) -> None:
    """A link where the disk can, else a copy: nobody writes into photographs."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def waiting(cache: Path) -> bool:
    """Do photographs of this file, which was never saved, lie in the cache?"""
    return not bpy.data.filepath and any(_capture_of(image, cache) for image in bpy.data.images)


def bring_along(blend: Path, cache: Path) -> list[Path]:
    """Copy the captures whose photographs this file uses out of the cache; images and rigs then name the copies.

    blend: the file that is about to be saved. Returns the new folders. Raises OSError; then nothing names a copy that
    is not whole.
    """
    used = {folder for image in bpy.data.images if (folder := _capture_of(image, cache))}
    made = []
    for source in sorted(used):
        target = _free(blend.parent / "captures" / source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            shutil.copytree(source, temporary, copy_function=place)
            temporary.replace(target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _rename(source, target)
        made.append(target)
    return made


def _capture_of(image: bpy.types.Image, cache: Path) -> Path | None:
    """The capture's folder in the cache that an image lies in."""
    if not image.filepath or image.library is not None:
        return None
    path = Path(bpy.path.abspath(image.filepath))
    if not path.is_relative_to(cache) or not path.is_file():
        return None
    return cache / path.relative_to(cache).parts[0]


def _rename(source: Path, target: Path) -> None:
    for image in bpy.data.images:
        path = Path(bpy.path.abspath(image.filepath)) if image.filepath else None
        if path is not None and image.library is None and path.is_relative_to(source):
            image.filepath = str(target / path.relative_to(source))
    for ob in bpy.data.objects:
        if str(ob.get(SOURCE_KEY, "")) == str(source):
            ob[SOURCE_KEY] = str(target)
    for scene in bpy.data.scenes:
        for name in ("image_folder", "mask_folder", "normals_folder"):
            folder = getattr(scene.skullptor, name)
            if folder and Path(bpy.path.abspath(folder)).is_relative_to(source):
                setattr(scene.skullptor, name, str(target / Path(bpy.path.abspath(folder)).relative_to(source)))


def _free(folder: Path) -> Path:
    number, found = 1, folder
    while found.exists():
        number += 1
        found = folder.with_name(f"{folder.name}~{number}")
    return found

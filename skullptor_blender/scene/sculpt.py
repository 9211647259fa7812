"""The quads that another Blender has made (quads.py) -> an object beside its head."""

from __future__ import annotations

from pathlib import Path

import bpy

from . import quads, rigs
from .result import SCULPT_OF as KEY


def load(head: bpy.types.Object, file: Path) -> bpy.types.Object:
    """The object of a file into the head's collections, dressed as the head. Raises OSError."""
    with bpy.data.libraries.load(str(file), link=False) as (there, wanted):
        wanted.objects = [name for name in there.objects if name == quads.NAME]
    if not wanted.objects or wanted.objects[0] is None:
        raise OSError("it holds no quads")
    made = wanted.objects[0]
    for library in list(bpy.data.libraries):  # the file is no part of the scene
        if Path(bpy.path.abspath(library.filepath)) == file:
            bpy.data.libraries.remove(library)
    made.name = f"{head.name} {quads.NAME}"
    made.data.name = f"{made.name}.mesh"
    made[KEY] = head.name
    if rigs.KEY in head:
        made[rigs.KEY] = head[rigs.KEY]
    for material in head.data.materials if quads.COLOR in made.data.color_attributes else ():
        made.data.materials.append(material)
    for collection in head.users_collection:
        collection.objects.link(made)
    return made


def is_sculpt(ob: bpy.types.Object | None) -> bool:
    """Made by Sculpt Mesh; its name may have been changed by anyone."""
    return ob is not None and ob.type == "MESH" and KEY in ob

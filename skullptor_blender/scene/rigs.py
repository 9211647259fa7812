"""The rigs of a scene: a collection of cameras each, one of them in use. Photographs, settings and heads belong to it.

Cameras that lie in no rig's collection, such as an artist's own, are a rig as well: the one with the identity "".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import bpy
from mathutils import Vector

KEY = "skullptor_rig"  # custom property of a rig's collection, and of its heads: the rig's identity
_STORED = "skullptor_rig_settings"  # custom property of a collection or a scene: the settings of a rig not in use
_WAITING = "skullptor_shown_with_rig"  # custom property of what is hidden as long as its rig is not in use
OWN_CAMERAS = "Own Cameras"
FOLDERS = ("image_folder", "mask_folder", "normals_folder")
_NOT_OF_A_RIG = {"rna_type", "name", "active_rig", "heat_map", "look", "show_cameras", "head_height", "eye_distance"}
_RENDER = ("resolution_x", "resolution_y", "pixel_aspect_x", "pixel_aspect_y")


@dataclass(frozen=True)
class Rig:
    """One rig; it holds a bpy reference, so it is used at once and never kept."""

    id: str
    name: str
    collection: bpy.types.Collection | None = None  # None: the cameras outside of all rigs' collections

    def owns(self, ob: bpy.types.Object) -> bool:
        """Is this one of its heads?"""
        return str(ob.get(KEY, "")) == self.id


def rigs(scene: bpy.types.Scene) -> list[Rig]:
    """All rigs in the order of their import; the artist's own cameras come first where one has a photograph."""
    found = [Rig(str(c[KEY]), c.name, c) for c in scene.collection.children_recursive if KEY in c]
    outside = Rig("", OWN_CAMERAS)
    if not found or any(has_photograph(ob) for ob in _outside(scene)):
        return [outside, *found]
    return found


def active(scene: bpy.types.Scene) -> Rig:
    """The rig in use: the chosen one as long as it is there, else the newest."""
    found = rigs(scene)
    settings = getattr(scene, "skullptor", None)
    wanted = settings.active_rig if settings is not None else ""
    return next((rig for rig in found if rig.id == wanted), found[-1])


def of_head(scene: bpy.types.Scene, head: bpy.types.Object) -> Rig:
    """The rig that a head belongs to; the one in use when its own is gone."""
    return next((rig for rig in rigs(scene) if rig.owns(head)), active(scene))


def up(rig: Rig, view_layer: bpy.types.ViewLayer) -> Vector:
    """The direction that is up in its photographs: the world's as long as it is roughly that."""
    found = Vector((0.0, 0.0, 0.0))
    for ob in cameras(rig, view_layer):
        found += ob.matrix_world.to_3x3().normalized().col[1]
    world = Vector((0.0, 0.0, 1.0))
    return found.normalized() if found.length > 1e-6 and found.normalized().dot(world) < 0.7 else world


def cameras(rig: Rig, view_layer: bpy.types.ViewLayer) -> Iterator[bpy.types.Object]:
    """All its cameras in the view layer by name, used or not."""
    inside = rig.collection.all_objects if rig.collection else _outside(view_layer.id_data)
    layer = set(view_layer.objects)
    return iter(sorted((ob for ob in inside if ob.type == "CAMERA" and ob in layer), key=lambda ob: ob.name))


def new_collection(scene: bpy.types.Scene, name: str) -> bpy.types.Collection:
    """A collection for a new rig, which is in use from now on; the settings of the one before are put by."""
    _put_by(scene, active(scene))
    collection = bpy.data.collections.new(name)
    collection[KEY] = uuid.uuid4().hex[:8]
    scene.collection.children.link(collection)
    if (settings := getattr(scene, "skullptor", None)) is not None:
        settings.active_rig = collection[KEY]
        settings.contact_sheet = None
        for folder in FOLDERS:
            setattr(settings, folder, "")
    return collection


def use(scene: bpy.types.Scene, rig: Rig) -> None:
    """Put this rig to use: its settings and its photographs' size become the scene's."""
    before = active(scene)
    if before.id == rig.id:
        return
    _put_by(scene, before)
    holder = rig.collection or scene
    try:
        stored = json.loads(holder.get(_STORED, "{}"))
    except (TypeError, ValueError):
        stored = {}
    settings = scene.skullptor
    for name, value in stored.get("settings", {}).items():
        if name == "contact_sheet":
            settings.contact_sheet = bpy.data.images.get(value)
        elif hasattr(settings, name):
            setattr(settings, name, value)
    for name, value in stored.get("render", {}).items():
        setattr(scene.render, name, value)
    settings.active_rig = rig.id


def show_only(rig: Rig, view_layer: bpy.types.ViewLayer, is_made_here: Callable[[bpy.types.Object], bool]) -> None:
    """In the viewport: this rig's cameras and what showed of its heads and of what was made of them; those of other
    rigs are hidden, not changed.
    """
    for other in rigs(view_layer.id_data):
        if other.collection and (layer := layer_collection(view_layer, other.collection)):
            layer.hide_viewport = other.id != rig.id
    for ob in view_layer.objects:
        if not is_made_here(ob):
            continue
        if not rig.owns(ob):
            if not ob.hide_get(view_layer=view_layer):
                ob[_WAITING] = True
                ob.hide_set(True, view_layer=view_layer)
        elif _WAITING in ob:
            del ob[_WAITING]
            ob.hide_set(False, view_layer=view_layer)


def show_photographs(rig: Rig, view_layer: bpy.types.ViewLayer, shown: bool, blend: float) -> None:
    """Behind the head, or so far over it; not shown they are clear, and stay what a run reads."""
    for ob in cameras(rig, view_layer):
        for background in ob.data.background_images[:1]:
            background.display_depth = "FRONT" if blend > 0 else "BACK"
            background.alpha = (blend if blend > 0 else 1.0) if shown else 0.0


def layer_collection(
    view_layer: bpy.types.ViewLayer, collection: bpy.types.Collection
) -> bpy.types.LayerCollection | None:
    """Where a collection hangs in the view layer; it holds the eye of the Outliner."""
    waiting = [view_layer.layer_collection]
    while waiting:
        layer = waiting.pop()
        if layer.collection == collection:
            return layer
        waiting += layer.children
    return None


def empty(rig: Rig) -> bpy.types.Object | None:
    """What an imported rig hangs on, when it was turned upright."""
    return next((ob for ob in rig.collection.objects if ob.type == "EMPTY"), None) if rig.collection else None


def _put_by(scene: bpy.types.Scene, rig: Rig) -> None:
    settings = getattr(scene, "skullptor", None)
    if settings is None:
        return
    values = {}
    for prop in settings.bl_rna.properties:
        if prop.identifier in _NOT_OF_A_RIG:
            continue
        value = getattr(settings, prop.identifier)
        if prop.type == "POINTER":
            value = value.name if value is not None else ""
        values[prop.identifier] = value
    render = {name: getattr(scene.render, name) for name in _RENDER}
    (rig.collection or scene)[_STORED] = json.dumps({"settings": values, "render": render})


def _outside(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    inside = {ob for c in scene.collection.children_recursive if KEY in c for ob in c.all_objects}
    return [ob for ob in scene.objects if ob.type == "CAMERA" and ob not in inside]


def has_photograph(ob: bpy.types.Object) -> bool:
    """Does a camera show a picture of its own?"""
    return any(background.image or background.clip for background in ob.data.background_images)

"""Confidence and error as colours on a result, and back to what it wore before. Nothing of the mesh is lost."""

from __future__ import annotations

import bpy
import numpy as np

from ..scene import result as scene_result

ATTRIBUTE = "heat_map"
PHOTOGRAPHS, CONFIDENCE, NORMAL_ERROR, CLAY = "photographs", "confidence", "normal_error", "clay"
DISTANCE = "distance"  # of a wrapped template from its head
MILLIMETRE = "skullptor_mm"  # custom property of its mesh: so many units of the scene
ERROR_DEGREES = 30.0  # and more: fully red
DISTANCE_MM = 1.0
LEGENDS = {
    CONFIDENCE: "Blue: sure, red: unsure, grey: unseen",
    NORMAL_ERROR: f"Blue: 0°, red: {ERROR_DEGREES:.0f}° or more, grey: unseen",
    DISTANCE: f"Blue: on the head, red: {DISTANCE_MM:g} mm off or more, grey: unseen",
}
_SHOWN = "skullptor_shown"  # custom property of the mesh: what its heat map shows
_BEFORE = "skullptor_material"  # custom property of the mesh: the material under the heat map
# blue over pale yellow to red, told apart by colour-blind eyes as well; sRGB
_STOPS = np.array([[49, 54, 149], [116, 173, 209], [255, 255, 191], [244, 109, 67], [165, 0, 38]], np.float32) / 255
_UNSEEN = np.array([0.5, 0.5, 0.5], np.float32)


def colors(values: np.ndarray, what: str) -> np.ndarray:
    """Values of the attribute [V] -> sRGB [V, 3] 0..1; what no camera saw has a confidence of 0, a negative error or
    (older heads) NaN."""
    if what == CONFIDENCE:
        heat, unseen = 1 - values, ~(values > 0)
    else:
        most = DISTANCE_MM if what == DISTANCE else ERROR_DEGREES
        heat, unseen = values / most, ~(values >= 0)
    heat = np.clip(np.where(unseen, 0, heat), 0, 1)
    place = np.linspace(0, 1, len(_STOPS))
    found = np.stack([np.interp(heat, place, _STOPS[:, channel]) for channel in range(3)], -1)
    found[unseen] = _UNSEEN
    return found.astype(np.float32)


def shown(mesh: bpy.types.Mesh) -> str:
    """What the mesh shows now."""
    what = mesh.get(_SHOWN, "")
    if what == CLAY:
        return CLAY
    return what if what in LEGENDS and ATTRIBUTE in mesh.color_attributes else PHOTOGRAPHS


def can_show(mesh: bpy.types.Mesh, what: str) -> bool:
    attribute = mesh.attributes.get(what)
    return attribute is not None and attribute.domain == "POINT" and attribute.data_type == "FLOAT"


def show(mesh: bpy.types.Mesh, what: str) -> None:
    """Dress the mesh: a heat map, or again what it wore before. The mesh must be out of edit mode."""
    if what == PHOTOGRAPHS:
        return _restore_material(mesh)
    _remember_material(mesh)
    if what == CLAY:
        _remove_colors(mesh)
        _assign_material(mesh, scene_result.material(CLAY))
        mesh[_SHOWN] = CLAY
        mesh.update()
        return None
    values = np.empty(len(mesh.vertices), np.float32)
    mesh.attributes[what].data.foreach_get("value", values)
    if what == DISTANCE:
        values /= float(mesh.get(MILLIMETRE, 1.0)) or 1.0
    rgba = np.ones((len(values), 4), np.float32)
    rgba[:, :3] = colors(values, what)
    attribute = mesh.color_attributes.get(ATTRIBUTE) or mesh.color_attributes.new(ATTRIBUTE, "BYTE_COLOR", "POINT")
    attribute.data.foreach_set("color_srgb", rgba.ravel())
    mesh.color_attributes.active_color = attribute
    mesh.color_attributes.render_color_index = mesh.color_attributes.active_color_index
    _assign_material(mesh, scene_result.material(ATTRIBUTE))
    mesh[_SHOWN] = what
    mesh.update()
    return None


def _remember_material(mesh: bpy.types.Mesh) -> None:
    if shown(mesh) == PHOTOGRAPHS and mesh.materials and mesh.materials[0]:
        mesh[_BEFORE] = mesh.materials[0]


def _remove_colors(mesh: bpy.types.Mesh) -> None:
    """The heat map goes, the photographs' colours are the active ones again."""
    if attribute := mesh.color_attributes.get(ATTRIBUTE):
        mesh.color_attributes.remove(attribute)
    if photographs := mesh.color_attributes.get(scene_result.COLOR):
        mesh.color_attributes.active_color = photographs
        mesh.color_attributes.render_color_index = mesh.color_attributes.active_color_index


def _restore_material(mesh: bpy.types.Mesh) -> None:
    before = mesh.get(_BEFORE)
    if shown(mesh) != PHOTOGRAPHS:
        _assign_material(mesh, before)
    for key in (_SHOWN, _BEFORE):
        if key in mesh:
            del mesh[key]
    _remove_colors(mesh)
    mesh.update()


def _assign_material(mesh: bpy.types.Mesh, material: bpy.types.Material | None) -> None:
    """In the first slot; the artist's other slots stay."""
    if mesh.materials and material is not None:
        mesh.materials[0] = material
    elif material is not None:
        mesh.materials.append(material)
    elif len(mesh.materials) == 1:
        mesh.materials.clear()
    elif mesh.materials:
        mesh.materials[0] = None

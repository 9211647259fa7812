"""The scene's settings: one PropertyGroup with units and tooltips, no logic."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..scene import placing, rigs

PRESETS = (
    ("draft", "Draft", "Up to 25,000 vertices: a quick look that shows whether cameras and photographs fit"),
    ("standard", "Standard", "Up to 100,000 vertices: the head with its folds"),
    ("fine", "Fine", "Up to 500,000 vertices: everything the photographs show, in several times the time"),
)
NORMALS = (
    ("network", "Network", "Predict the normals of all photographs together, so that they agree with each other"),
    ("david", "DAViD", "Predict the normals of each photograph on its own with Microsoft's DAViD model"),
    ("measured", "Measured", "Read measured normal maps from a folder, such as those of a light stage"),
)
DEVICES = (
    ("auto", "Automatic", "Use the graphics card where there is one, else the processor"),
    ("cpu", "Processor", "Use the processor, even where there is a graphics card"),
    ("cuda", "NVIDIA GPU", "Use the NVIDIA graphics card, and fail where there is none"),
)
HEAT_MAPS = (
    ("confidence", "Confidence", "How far each vertex can be trusted: how well and from how many sides it was seen"),
    (
        "normal_error",
        "Normal Error",
        "How far the surface's direction differs from what the photographs say, in degrees",
    ),
)
LOOKS = (
    ("normals", "Normals", "The directions of the skin that the network sees: red is right, green is up"),
    ("masks", "Masks", "What counts as head in each photograph: white is head"),
)
AXES = (
    ("opengl", "Y Up", "Green is up and blue is towards the camera: the usual blue-purple picture"),
    ("opencv", "Y Down", "Green is down and blue is away from the camera"),
)


def setting_properties(options: set[str] | None = None) -> dict:
    """The settings that the panel and the operator's keywords share. options: those of bpy.props."""
    shared = {"options": options} if options else {}
    return {
        "preset": EnumProperty(
            name="Preset", items=PRESETS, default="standard", description="How dense the head becomes", **shared
        ),
        "normals": EnumProperty(
            name="Normals",
            items=NORMALS,
            default="network",
            description="Where the directions of the skin come from",
            **shared,
        ),
        "device": EnumProperty(
            name="Device",
            items=DEVICES,
            default="auto",
            description="The processor that computes the head",
            **shared,
        ),
        "max_vertices": IntProperty(
            name="Max Vertices",
            description="The mesh stops getting denser at this number of vertices",
            default=100_000,
            min=500,
            max=5_000_000,
            soft_max=1_000_000,
            **shared,
        ),
        "steps": IntProperty(
            name="Steps",
            description="How often the mesh is compared with the photographs and moved. More steps: sharper and slower",
            default=200,
            min=1,
            max=100_000,
            soft_max=2000,
            **shared,
        ),
        "smoothness": FloatProperty(
            name="Smoothness",
            description="How much the surface resists ripples and folds: 0.2 is right for predicted normals, 0.05 for"
            " measured ones. Raise it when noise shows, lower it when wrinkles are lost",
            default=0.2,
            min=0.0,
            max=10.0,
            soft_max=2.0,
            precision=3,
            **shared,
        ),
        "seed": IntProperty(
            name="Seed",
            description="The same seed gives the same mesh on the same machine",
            default=0,
            min=0,
            **shared,
        ),
        "refine_cameras": BoolProperty(
            name="Refine Cameras",
            description="Where the photographs contradict the cameras by a little (up to a degree or so), correct them"
            " before the head is made. Right cameras are left to the bit, and the scene's cameras stay as they are",
            default=True,
            **shared,
        ),
        "image_folder": StringProperty(
            name="Photographs",
            description="Folder with one photograph for each camera, named as the camera. Used for cameras"
            " without a background image",
            subtype="DIR_PATH",
            **shared,
        ),
        "mask_folder": StringProperty(
            name="Masks",
            description="Folder with one mask for each camera, named as the camera: white is head. Without masks"
            " the head is found automatically",
            subtype="DIR_PATH",
            **shared,
        ),
        "normals_folder": StringProperty(
            name="Normal Maps",
            description="Folder with one measured camera-space normal map for each camera, named as the camera",
            subtype="DIR_PATH",
            **shared,
        ),
    }


def _layer(settings: bpy.types.PropertyGroup) -> bpy.types.LayerCollection | None:
    rig = rigs.active(settings.id_data)
    return rigs.layer_collection(bpy.context.view_layer, rig.collection) if rig.collection else None


def _cameras_shown(settings: bpy.types.PropertyGroup) -> bool:
    layer = _layer(settings)
    return layer is None or not layer.hide_viewport


def _show_cameras(settings: bpy.types.PropertyGroup, value: bool) -> None:
    if layer := _layer(settings):
        layer.hide_viewport = not value


def _show_photographs(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    """On the cameras of the rig in use. They keep their backgrounds switched on: those are the photographs of a run."""
    if context.view_layer is not None:
        shown, blend = settings.show_photographs, settings.photograph_blend
        rigs.show_photographs(rigs.active(settings.id_data), context.view_layer, shown, blend)


def _sized(key: str) -> dict:
    """Accessors of a length that the rig in use has; writing it scales the rig."""

    def read(settings: bpy.types.PropertyGroup) -> float:
        return placing.size(settings.id_data, key)

    def write(settings: bpy.types.PropertyGroup, value: float) -> None:
        if bpy.context.view_layer is not None:
            placing.resize(settings.id_data, bpy.context.view_layer, key, value)

    return {"get": read, "set": write}


class SKULLPTOR_PG_settings(bpy.types.PropertyGroup):
    """What the artist chose for this scene."""

    __annotations__ = {
        **setting_properties(),
        "use_max_vertices": BoolProperty(
            name="Own Max Vertices", description="Set the largest number of vertices instead of the preset's"
        ),
        "use_steps": BoolProperty(name="Own Steps", description="Set the number of steps instead of the preset's"),
        "use_smoothness": BoolProperty(name="Own Smoothness", description="Set the smoothness instead of the preset's"),
        "show_cameras": BoolProperty(
            name="Cameras",
            description="Show the cameras of the rig in use; hidden ones are used all the same",
            get=_cameras_shown,
            set=_show_cameras,
        ),
        "show_photographs": BoolProperty(
            name="Photograph",
            description="Show a camera's photograph when you look through it",
            default=True,
            update=_show_photographs,
        ),
        "photograph_blend": FloatProperty(
            name="Over the Head",
            description="How much the photograph covers the head: 0 lies behind it, 1 hides it",
            default=0.0,
            min=0.0,
            max=1.0,
            subtype="FACTOR",
            update=_show_photographs,
        ),
        "head_height": FloatProperty(
            name="Head Height",
            description="From the chin to the crown with its hair, as a tape measures it: set it, and the cameras and"
            " heads of this rig get their true size. Before the first head it is guessed from the photographs; what you"
            " set then is made true by the first head",
            subtype="DISTANCE",
            unit="LENGTH",
            min=0.0,
            soft_min=0.1,
            soft_max=0.4,
            precision=3,
            **_sized(placing.HEIGHT),
        ),
        "eye_distance": FloatProperty(
            name="Eye Distance",
            description="From pupil to pupil when looking far away, 54 to 74 mm in adults: set it, and the cameras and"
            " heads of this rig get their true size. It is found within about 3 %; Set Scale is more exact",
            subtype="DISTANCE",
            unit="LENGTH",
            min=0.0,
            soft_min=0.04,
            soft_max=0.1,
            precision=3,
            **_sized(placing.EYES),
        ),
        "active_rig": StringProperty(
            name="Rig in Use", description="Identity of the rig whose cameras are used", options={"HIDDEN"}
        ),
        "heat_map": EnumProperty(
            name="Heat Map",
            items=HEAT_MAPS,
            default="confidence",
            description="What Show Confidence paints onto the head",
        ),
        "look": EnumProperty(
            name="Look At", items=LOOKS, default="normals", description="Which of the predicted pictures are listed"
        ),
        "contact_sheet": PointerProperty(
            name="Contact Sheet",
            type=bpy.types.Image,
            description="Photographs, normals and masks of the last prediction in one picture",
        ),
        "normals_axes": EnumProperty(
            name="Map Axes", items=AXES, default="opengl", description="How the normal maps store directions"
        ),
        "normals_max": IntProperty(
            name="Map Range",
            description="The value that stands for 1 in the normal maps",
            default=65535,
            min=255,
            max=65535,
        ),
    }


class SKULLPTOR_PG_view(bpy.types.PropertyGroup):
    """What belongs to one camera's photograph."""

    __annotations__ = {
        "use": BoolProperty(
            name="Use",
            description="Make heads with this camera's photograph. Off: the camera is left out, and stays",
            default=True,
        ),
        "texture": BoolProperty(
            name="Colours",
            description="Take colours of textures from this camera's photograph. Off: the others give them",
            default=True,
        ),
        "mask": PointerProperty(
            name="Custom Mask",
            type=bpy.types.Image,
            description="A mask for this camera's photograph, of the same size: white is head. It replaces the folder's"
            " mask, the photograph's transparency and the predicted mask",
        ),
        "predicted_normals": PointerProperty(
            name="Predicted Normals", type=bpy.types.Image, description="What Preview Normals saw in the photograph"
        ),
        "predicted_mask": PointerProperty(
            name="Predicted Mask", type=bpy.types.Image, description="What Preview Normals took for the head"
        ),
    }


CLASSES = (SKULLPTOR_PG_settings, SKULLPTOR_PG_view)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.skullptor = PointerProperty(type=SKULLPTOR_PG_settings)
    bpy.types.Camera.skullptor = PointerProperty(type=SKULLPTOR_PG_view)


def unregister() -> None:
    del bpy.types.Camera.skullptor
    del bpy.types.Scene.skullptor
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)

"""Texture Head: the photographs as maps on a head's UVs, made by the bridge, worn as a material."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, StringProperty

from ..link import mesh_file, run_files, session
from ..link.command import BridgeCommand
from ..link.worker import WorkerError
from ..scene import capture as scene_capture
from ..scene import displace, eyes, materials
from ..scene import result as scene_result
from ..scene import template as scene_template
from ..ui import heat_map, preferences, view
from . import head_job
from .bridge_operator import BridgeOperator

DETAILS = (
    ("none", "Colours Only", "No detail maps"),
    ("shape", "Normals, Heights", "What the head has and the template's quads do not, as normals and heights"),
    ("displaced", "Displaced", "The heights under a Subdivision and a Displace modifier, not as a normal map"),
    ("all", "All Maps", "Occlusion and curvature as well, as images that the material does not use"),
)
SIZES = tuple((str(size), f"{size // 1024}k", f"{size} x {size} texels") for size in (1024, 2048, 4096, 8192))


class TextureSettings(bpy.types.PropertyGroup):
    """What the artist chose for textures; kept with the scene."""

    __annotations__ = {
        "size": EnumProperty(name="Size", items=SIZES, default="4096", description="Texels of a map's side"),
        "frontal": FloatProperty(
            name="Frontal",
            description="How strictly a photograph must look straight at a place to give it its colour",
            default=0.5,
            min=0.0,
            max=1.0,
            subtype="FACTOR",
        ),
        "silhouette": FloatProperty(
            name="Silhouettes",
            description="How far from silhouettes and inner rims photographs begin to count",
            default=0.5,
            min=0.0,
            max=1.0,
            subtype="FACTOR",
        ),
        "back_faces": BoolProperty(name="Back Faces", description="Colour places that show only their back"),
        "equalise": BoolProperty(
            name="Equalise", description="Bring brightness and tint of all photographs to one", default=True
        ),
        "fill": BoolProperty(
            name="Fill Gaps",
            description="Colour what no photograph shows from its neighbours and its mirror side",
            default=True,
        ),
        "vignetting": BoolProperty(
            name="Vignetting", description="Brighten photographs towards their corners as far as they disagree there"
        ),
        "delight": BoolProperty(name="Remove Light", description="Take the light out of the colours"),
        "deep": BoolProperty(name="16 Bits", description="Colours with 16 bits a channel, for grading and painting"),
        "details": EnumProperty(
            name="Details", items=DETAILS, default="shape", description="Maps of the dense head on a wrapped template"
        ),
        "packed": BoolProperty(
            name="Pack Images",
            description="Keep the maps inside the .blend file; else in a folder beside it",
            default=True,
        ),
    }


class SKULLPTOR_OT_texture_head(BridgeOperator, bpy.types.Operator):
    """Bake the cameras' photographs onto the head or its wrapped template: its own UVs if it has some, else new ones"""

    bl_idname = "skullptor.texture_head"
    bl_label = "Texture Head"
    bl_options = {"UNDO"}

    __annotations__ = {
        "bridge_python": StringProperty(
            name="Engine's Python",
            description="The engine's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }

    folder: Path | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if target(context) is None:
            cls.poll_message_set("Select a head made by Reconstruct Head")
            return False
        return super().poll(context)

    def start(self, context: bpy.types.Context) -> BridgeCommand:
        settings = context.scene.skullptor
        chosen = context.scene.skullptor_texture
        ob = target(context)
        if ob.mode != "OBJECT":
            cure = f"Leave its {ob.mode.replace('_', ' ').title()} mode."
            raise WorkerError("mode", f"'{ob.name}' is being edited.", cure)
        found = head_job.read_cameras(context, {name: getattr(settings, name) for name in head_job.FOLDERS})
        if found.errors:
            first = found.errors[0]
            raise WorkerError(first.code, first.sentence, first.cure)
        names = [view.camera for view in found.usable]
        left_out = [name for name in names if not context.view_layer.objects[name].data.skullptor.texture]
        if len(left_out) == len(names):
            raise WorkerError("no-images", "No photograph may give colours.", "Tick some of them in the panel Texture.")
        if not chosen.packed and not bpy.data.filepath:
            cure = "Save the scene first, or tick Pack Images."
            raise WorkerError("texture", "Maps beside the file need a file.", cure)
        interpreter = preferences.interpreter(context, self.bridge_python)
        self.head, self.shape = ob.name, materials.shape_of(ob.data)
        self.folder = run_files.new_run(preferences.cache_folder(context))
        draft = scene_capture.draft(found.usable, context.scene, settings.normals_axes, settings.normals_max)
        capture, self.maps = self.folder / "capture", self.folder / "texture"
        head = dense_head(context, ob) if chosen.details != "none" else None
        dense = None if head is None else scene_result.arrays_of(head)
        geometry = materials.geometry_of(ob, skin_only=scene_template.KEY in ob)
        mesh = self.folder / ("head.obj" if "uv" in geometry else "head.ply")

        def prepare() -> None:
            draft.write(capture)
            if "uv" in geometry:
                mesh_file.write_obj(mesh, *(geometry[key] for key in ("vertices", "corners", "totals", "uv")))
            else:
                mesh_file.write_ply(mesh, geometry["vertices"], geometry["triangles"])
            if dense is not None:
                mesh_file.write_ply(self.folder / "dense.ply", dense["vertices"], dense["faces"])

        arguments = ["texture", str(mesh), "--capture", str(capture), "-o", str(self.maps), "--size", chosen.size]
        arguments += ["--frontal", f"{chosen.frontal:.3f}", "--silhouette", f"{chosen.silhouette:.3f}"]
        flags = {"--back-faces": chosen.back_faces, "--no-equalise": not chosen.equalise, "--no-fill": not chosen.fill}
        flags |= {"--vignetting": chosen.vignetting, "--delight": chosen.delight}
        arguments += [flag for flag, on in flags.items() if on]
        arguments += ["--bits", "16"] if chosen.deep else []
        if dense is not None:
            arguments += ["--detail-from", str(self.folder / "dense.ply"), "--displacement-over", "subdivision"]
        arguments += ["--extras"] if dense is not None and chosen.details == "all" else []
        arguments += ["--without", *left_out] if left_out else []
        log = preferences.cache_folder(context) / "texture.log"
        return BridgeCommand(
            self.bl_label, interpreter, preferences.ROOT, arguments, log, stage="Texturing", prepare=prepare
        )

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        ob = context.view_layer.objects.get(self.head)
        if ob is None:
            raise WorkerError("texture", f"The head '{self.head}' is gone.", "Undo its removal, or texture another.")
        if materials.shape_of(ob.data) != self.shape:
            sentence = f"'{ob.name}' was edited while it was textured: {materials.difference(ob.data, self.shape)}."
            raise WorkerError("texture", sentence, "Texture it again.")
        heat_map.show(ob.data, heat_map.PHOTOGRAPHS)
        packed = context.scene.skullptor_texture.packed
        try:
            folder = self.maps if packed else beside_file(self.maps, ob.name)
            heights = materials.read_maps(folder).get("displacement", [])
            wanted = scene_template.KEY in ob and context.scene.skullptor_texture.details == "displaced"
            displaced = wanted and len(heights) == 1  # Blender's modifier knows no tiles
            materials.dress(context.scene, ob, folder, packed, normals=not displaced)
            displace.take_off(ob)
            if displaced:
                displace.put_on(ob, heights[0], packed)
            if scene_template.KEY in ob:
                metres = context.scene.unit_settings.scale_length or 1.0
                eyes.dress(ob, dense_head(context, ob), metres, None if packed else folder)
        except materials.NoTexture as error:
            raise WorkerError("texture", str(error), "Texture it again.") from None
        view.show_colors(context, "TEXTURE")
        return session.Outcome(True, f"'{ob.name}' wears its photographs", object_name=ob.name)

    def clean_up(self) -> None:
        if self.folder is not None:
            run_files.drop(self.folder)


def beside_file(maps: Path, name: str) -> Path:
    """A copy of the maps beside the saved scene: the cache forgets old runs. Raises WorkerError "output"."""
    folder = Path(bpy.data.filepath).parent / f"{bpy.path.clean_name(name)}_texture"
    try:
        shutil.copytree(maps, folder, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        cure = "Choose a folder you may write to for the scene, or tick Pack Images."
        raise WorkerError("output", f"'{folder}' cannot be written: {error}.", cure) from None
    return folder


def target(context: bpy.types.Context) -> bpy.types.Object | None:
    """What is textured: the wrapped template that is active, else the chosen head."""
    return scene_template.wrapped(context) or scene_result.chosen(context)


def dense_head(context: bpy.types.Context, ob: bpy.types.Object) -> bpy.types.Object | None:
    """The head that a wrapped template takes details from."""
    if scene_template.KEY not in ob:
        return None
    return scene_result.source_of(ob, context.view_layer)


CLASSES = (TextureSettings, SKULLPTOR_OT_texture_head)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)


def register() -> None:
    _register()
    bpy.types.Scene.skullptor_texture = bpy.props.PointerProperty(type=TextureSettings)


def unregister() -> None:
    del bpy.types.Scene.skullptor_texture
    _unregister()

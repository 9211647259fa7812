"""Wrap Template: clean topology onto a reconstructed head."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, PointerProperty, StringProperty
from mathutils import Matrix

from ..link import run_files, session
from ..link.command import BridgeCommand
from ..link.worker import WorkerError
from ..scene import landmarks, placing, rigs, template_mesh
from ..scene import result as scene_result
from ..scene import template as scene_template
from ..ui import heat_map, preferences, view
from .bridge_operator import BridgeOperator

GET, MISSING = "Get Template Data", "template-missing"  # the button's words are in the engine's cures
SNAPPED = "skullptor_snap"  # custom property of landmarks: whether the artist's tools snapped before
TEMPLATES = (
    ("hm08", "MakeHuman Head", "4,368 vertices of skin, all quads, CC0; with eyes, teeth, tongue and lashes"),
    ("hm08-body", "MakeHuman Body", "The whole person, whose head is fitted: rigs and clothes of MPFB go on"),
    ("ict", "ICT-FaceKit", "14,062 vertices of skin; the model's file must be on this machine"),
    ("gnm", "GNM Head", "Google's model of 17,821 vertices; the file gnm_head.npz must be on this machine"),
    (scene_template.OWN, "File", "A template of your own: OBJ with quads, PLY or GLB"),
    (scene_template.MESH, "Mesh", "A template of your own: a mesh of the scene, upright (+Z up, face to -Y)"),
)


DENSITIES = (
    ("1", "As It Is", "The template's own faces"),
    ("4", "Four Times", "Each face of the template as four: its shapes and UVs go along"),
)
OUTSIDE = "Hats, helmets and hair are the head too and pull the template, as stylised heads need it"
RIGID = "Regions that only turn, move and grow, with commas: ears, lips, or groups of the template"


class WrapSettings(bpy.types.PropertyGroup):
    """What the artist chose for templates; kept with the scene."""

    __annotations__ = {
        "template": EnumProperty(name="Template", items=TEMPLATES, default="hm08"),
        "file": StringProperty(
            name="File", description="A template of your own: OBJ with quads, PLY or GLB", subtype="FILE_PATH"
        ),
        "mesh": PointerProperty(
            name="Mesh",
            description="A template of your own: a mesh of the scene, upright (+Z up, face to -Y)",
            type=bpy.types.Object,
            poll=lambda _, ob: template_mesh.fits(ob),
        ),
        "density": EnumProperty(name="Density", items=DENSITIES, default="1"),
        "rigid": StringProperty(name="Rigid Regions", description=RIGID),
        "outside": BoolProperty(name="Wrap the Outside", description=OUTSIDE),
    }


class _OnHead:
    """For a head, or for a template that was wrapped onto one."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if scene_result.chosen(context) is None:
            cls.poll_message_set("Select a head made by Reconstruct Head")
            return False
        return True


class SKULLPTOR_OT_wrap_template(_OnHead, BridgeOperator, bpy.types.Operator):
    """Lay a template with clean topology on the head: quads, UVs, eyes, teeth and 52 blend shapes"""

    bl_idname = "skullptor.wrap_template"
    bl_label = "Wrap Template"
    bl_options = {"UNDO"}

    __annotations__ = {
        "template": EnumProperty(name="Template", items=TEMPLATES, default="hm08", options={"SKIP_SAVE"}),
        "file": StringProperty(
            name="File", description="The template of your own", subtype="FILE_PATH", options={"SKIP_SAVE"}
        ),
        "density": EnumProperty(name="Density", items=DENSITIES, default="1", options={"SKIP_SAVE"}),
        "rigid": StringProperty(name="Rigid Regions", description=RIGID, options={"SKIP_SAVE"}),
        "outside": BoolProperty(name="Wrap the Outside", description=OUTSIDE, options={"SKIP_SAVE"}),
        "mesh": StringProperty(
            name="Mesh", description="The name of the mesh that is the template", options={"SKIP_SAVE"}
        ),
        "bridge_python": StringProperty(
            name="Engine's Python",
            description="The engine's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }

    done_text = "Template wrapped: {}"
    folder: Path | None = None
    template_file: Path | None = None  # where a mesh of the scene was written to

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self.run_modal(context)

    def start(self, context: bpy.types.Context) -> BridgeCommand:
        head = scene_result.chosen(context)
        self.head_name = head.name
        capture = Path(str(scene_result.stored(head, "skullptor_run").get("capture") or ""))
        if not (capture / "capture.json").is_file():
            raise WorkerError(
                "capture-missing",
                f"The photographs that '{head.name}' was made from are no longer in the cache.",
                "Reconstruct the head again, then wrap the template.",
            )
        refined = scene_result.refined_captures(head)
        capture = refined[1] if refined else capture
        interpreter = preferences.interpreter(context, self.bridge_python)
        root = preferences.cache_folder(context)
        self.folder = run_files.new_run(root)
        wanted, texts = self.asked_template(context, self.folder)
        vertices, triangles = scene_template.triangles_of(head)
        self.moved = placing.moved(head)
        vertices = transformed(vertices, self.moved.inverted())  # the capture is of the run's world
        ply, self.output = self.folder / "head.ply", self.folder / "output"
        arguments = ["wrap", str(ply), "--capture", str(capture), "--template", wanted, "-o", str(self.output)]
        arguments += ["--density", self.density]
        if rigid := ",".join(name.strip() for name in self.rigid.split(",") if name.strip()):
            arguments += ["--rigid", rigid]
        if self.outside:
            arguments.append("--outside")
        if (points := landmarks.of_head(context.view_layer, head)) is not None:
            if points.mode != "OBJECT":
                bpy.ops.object.mode_set(mode="OBJECT")
            picked = self.folder / "landmarks.json"
            texts[picked] = json.dumps(landmarks.read(points, self.moved.inverted()).as_json())
            arguments += ["--landmarks", str(picked)]

        def prepare() -> None:
            scene_template.write_ply(ply, vertices, triangles)
            for path, text in texts.items():
                path.write_text(text, encoding="utf-8")

        return BridgeCommand(
            self.bl_label,
            interpreter,
            preferences.ROOT,
            arguments,
            root / "wrap.log",
            stage="Reading photos",
            prepare=prepare,
        )

    def asked_template(self, context: bpy.types.Context, folder: Path) -> tuple[str, dict[Path, str]]:
        """What the engine calls the template, and the files that it needs for that. Raises WorkerError."""
        if self.template != scene_template.MESH:
            return bpy.path.abspath(self.file) if self.template == scene_template.OWN else self.template, {}
        ob = context.view_layer.objects.get(self.mesh)
        if not template_mesh.fits(ob):
            raise WorkerError(
                "template-missing", f"'{self.mesh}' is no mesh of the scene that can be a template.", "Choose a mesh."
            )
        if ob.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        self.template_file = folder / f"{bpy.path.clean_name(ob.name)}.obj"
        texts = {self.template_file: template_mesh.as_obj(ob)}
        if picks := template_mesh.picks(ob):
            body = {"landmarks": {str(number): point.tolist() for number, point in picks.items()}}
            texts[self.template_file.with_suffix(".picked.json")] = json.dumps(body)
        elif known := template_mesh.remembered(ob):
            texts[self.template_file.with_suffix(".landmarks.json")] = known
        return str(self.template_file), texts

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        mesh = None if self.template_file is None else context.view_layer.objects.get(self.mesh)
        if mesh is not None and not template_mesh.picks(mesh):
            template_mesh.remember(mesh, self.template_file.with_suffix(".landmarks.json"))
        try:
            arrays = scene_template.read(self.output / "wrap.npz")
            report = json.loads((self.output / "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise WorkerError("no-result", f"The wrapped template cannot be read: {error}.", "Run it again.") from None
        head = context.view_layer.objects.get(self.head_name)
        if head is None:
            raise WorkerError("no-head", f"'{self.head_name}' is no longer in the scene.", "Select a head, wrap again.")
        properties = {
            scene_template.KEY: str(report["template"]),
            scene_template.OF: head.name,
            scene_template.ASKED: json.dumps({name: getattr(self, name) for name in scene_template.CHOICES}),
            "skullptor_report": str(self.output / "report.json"),
        }
        if rigs.KEY in head:
            properties[rigs.KEY] = str(head[rigs.KEY])
        arrays["shapes"] = transformed(arrays["vertices"] + arrays["shapes"], self.moved)
        arrays["vertices"] = transformed(arrays["vertices"], self.moved)
        arrays["shapes"] = arrays["shapes"] - arrays["vertices"]
        factor = self.moved.median_scale
        arrays["distance"] = arrays["distance"] * factor
        for earlier in scene_template.of_head(context.view_layer, head):
            earlier.hide_set(True)
        made = scene_template.create(head, arrays, f"{head.name} {report['template']}", properties)
        made.data[heat_map.MILLIMETRE] = float(report["scale"]) * factor  # a template is measured in millimetres
        known = np.flatnonzero(np.isfinite(arrays["landmarks_sigma"]))
        made[scene_template.LANDMARKS] = json.dumps(
            landmarks.Landmarks(
                known,
                transformed(arrays["landmarks"][known], self.moved).round(6),
                (arrays["landmarks_sigma"][known] * factor).round(7),
            ).as_json()
        )
        head.hide_set(True)
        if (points := landmarks.of_head(context.view_layer, head)) is not None:
            points.hide_set(True)
            if SNAPPED in points:
                context.scene.tool_settings.use_snap = bool(points[SNAPPED])
                del points[SNAPPED]
        for other in context.selected_objects:
            other.select_set(False)
        made.select_set(True)
        context.view_layer.objects.active = made
        view.show_colors(context, "MATERIAL")
        off = report["quality"]["distance_median_mm"]
        text = f"{len(arrays['vertices']):,} vertices, {len(arrays['shapes'])} shapes, {off:.2f} mm from the head"
        report_path, picture = str(self.output / "report.json"), str(self.output / "report.png")
        return session.Outcome(ok=True, text=text, report=report_path, picture=picture, object_name=made.name)

    def fail(self, error: WorkerError) -> None:
        if GET in str(error):
            error.code = MISSING
        super().fail(error)

    def clean_up(self) -> None:
        if self.folder is not None:
            run_files.drop(self.folder)


class SKULLPTOR_OT_get_template_data(BridgeOperator, bpy.types.Operator):
    """Download what Wrap Template needs: MakeHuman's mesh, MediaPipe's landmark models, and what runs them"""

    bl_idname = "skullptor.get_template_data"
    bl_label = GET
    __annotations__ = {
        "directory": StringProperty(
            description="A folder of wheels, where there is no network", subtype="DIR_PATH", options={"SKIP_SAVE"}
        ),
    }

    def start(self, context: bpy.types.Context) -> BridgeCommand:
        if not self.directory and not bpy.app.online_access:
            raise WorkerError(
                "offline", "Blender may not use the network.", "Switch on System > Network > Allow Online Access."
            )
        log = preferences.cache_folder(context) / "wrap.log"
        arguments = ["weights", "template"]
        arguments += ["--from", bpy.path.abspath(self.directory)] if self.directory else []
        return BridgeCommand(
            self.bl_label, preferences.interpreter(context), preferences.ROOT, arguments, log, stage="Fetching"
        )

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        return session.Outcome(ok=True, text="Templates can be wrapped")


class SKULLPTOR_OT_edit_landmarks(_OnHead, bpy.types.Operator):
    """Show the landmarks of the face as points on the head, to be dragged in any view; Wrap Template then uses them"""

    bl_idname = "skullptor.edit_landmarks"
    bl_label = "Edit Landmarks"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        head = scene_result.chosen(context)
        if landmarks.of_head(context.view_layer, head) is None and not wrapped_with_landmarks(context, head):
            cls.poll_message_set("Wrap a template first: that finds them")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        head = scene_result.chosen(context)
        points = landmarks.of_head(context.view_layer, head)
        if points is None:
            body = scene_result.stored(wrapped_with_landmarks(context, head)[0], scene_template.LANDMARKS)
            points = landmarks.create(head, landmarks.from_json(body))
        for wrapped in scene_template.of_head(context.view_layer, head):
            wrapped.hide_set(True)
        if context.object is not None and context.object.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        for other in context.selected_objects:
            other.select_set(False)
        head.hide_set(False)
        points.hide_set(False)
        points.select_set(True)
        context.view_layer.objects.active = points
        bpy.ops.object.mode_set(mode="EDIT")
        bpy.ops.mesh.select_all(action="DESELECT")
        tool = context.scene.tool_settings
        points[SNAPPED] = points.get(SNAPPED, tool.use_snap)
        tool.use_snap, tool.snap_elements_base = True, {"FACE"}  # a dragged point stays on the head
        return {"FINISHED"}


class SKULLPTOR_OT_set_template_landmarks(bpy.types.Operator):
    """Put empties onto your own template where a face has its landmarks, to be dragged onto their places once; without
    them the template is rendered and its face looked for"""

    bl_idname = "skullptor.set_template_landmarks"
    bl_label = "Set Landmarks"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not template_mesh.fits(context.scene.skullptor_wrap.mesh):
            cls.poll_message_set("Choose the mesh that is your template")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = context.scene.skullptor_wrap.mesh
        if context.object is not None and context.object.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        points = template_mesh.empties(ob) or template_mesh.set_landmarks(ob)
        for other in context.selected_objects:
            other.select_set(False)
        ob.hide_set(False)
        for point in points:
            point.hide_set(False)
        points[0].select_set(True)
        context.view_layer.objects.active = points[0]
        tool = context.scene.tool_settings
        tool.use_snap, tool.snap_elements_base = True, {"FACE"}
        return {"FINISHED"}


class SKULLPTOR_OT_show_distance(bpy.types.Operator):
    """Colour the wrapped template by how far it lies from the head it was wrapped onto, or give its materials back"""

    bl_idname = "skullptor.show_distance"
    bl_label = "Distance"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if scene_template.wrapped(context) is None:
            cls.poll_message_set("Select a wrapped template")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = scene_template.wrapped(context)
        if ob.mode != "OBJECT":
            self.report({"ERROR"}, f"'{ob.name}' is being edited. Leave its {ob.mode.replace('_', ' ').title()} mode.")
            return {"CANCELLED"}
        shown = heat_map.shown(ob.data) == heat_map.DISTANCE
        if not shown and not heat_map.can_show(ob.data, heat_map.DISTANCE):
            self.report({"ERROR"}, f"'{ob.name}' has no attribute '{heat_map.DISTANCE}' any more. Wrap it again.")
            return {"CANCELLED"}
        heat_map.show(ob.data, heat_map.PHOTOGRAPHS if shown else heat_map.DISTANCE)
        view.show_colors(context, "MATERIAL" if shown else "VERTEX")
        return {"FINISHED"}


def wrapped_with_landmarks(context: bpy.types.Context, head: bpy.types.Object) -> list[bpy.types.Object]:
    """The templates on a head that tell the landmarks they were laid by, the newest first."""
    return [ob for ob in scene_template.of_head(context.view_layer, head) if scene_template.LANDMARKS in ob]


def transformed(points: np.ndarray, matrix: Matrix) -> np.ndarray:  # [..., 3]
    numbers = np.array(matrix)
    return points @ numbers[:3, :3].T + numbers[:3, 3]


CLASSES = (
    WrapSettings,
    SKULLPTOR_OT_wrap_template,
    SKULLPTOR_OT_get_template_data,
    SKULLPTOR_OT_edit_landmarks,
    SKULLPTOR_OT_set_template_landmarks,
    SKULLPTOR_OT_show_distance,
)
_register, _unregister = bpy.utils.register_classes_factory(CLASSES)


def register() -> None:
    _register()
    bpy.types.Scene.skullptor_wrap = PointerProperty(type=WrapSettings)


def unregister() -> None:
    del bpy.types.Scene.skullptor_wrap
    _unregister()

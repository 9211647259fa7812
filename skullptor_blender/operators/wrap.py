"""Wrap Template: clean topology onto a reconstructed head."""

from __future__ import annotations

import json
from pathlib import Path

import bpy
import numpy as np
from bpy.props import EnumProperty, StringProperty
from mathutils import Matrix

from ..link import run_files, session
from ..link.command import BridgeCommand
from ..link.worker import WorkerError
from ..scene import placing, rigs
from ..scene import result as scene_result
from ..scene import template as scene_template
from ..ui import preferences
from .bridge_operator import BridgeOperator

OWN = "own"
TEMPLATES = (
    ("hm08", "MakeHuman Head", "4,368 vertices of skin, all quads, CC0; with eyes, teeth, tongue and lashes"),
    ("hm08-body", "MakeHuman Body", "The whole person, whose head is fitted: rigs and clothes of MPFB go on"),
    ("ict", "ICT-FaceKit", "14,062 vertices of skin; the model's file must be on this machine"),
    (OWN, "File", "A template of your own: OBJ with quads, PLY or GLB"),
)


class SKULLPTOR_OT_wrap_template(BridgeOperator, bpy.types.Operator):
    """Lay a template with clean topology on the head: quads, UVs, eyes, teeth and 52 blend shapes"""

    bl_idname = "skullptor.wrap_template"
    bl_label = "Wrap Template"
    bl_options = {"UNDO"}

    __annotations__ = {
        "template": EnumProperty(name="Template", items=TEMPLATES, default="hm08"),
        "file": StringProperty(name="File", description="The template of your own", subtype="FILE_PATH"),
        "bridge_python": StringProperty(
            name="Engine's Python",
            description="The engine's Python, when it is not the one of the preferences",
            options={"SKIP_SAVE", "HIDDEN"},
        ),
    }

    done_text = "Template wrapped: {}"
    folder: Path | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if scene_result.chosen(context) is None:
            cls.poll_message_set("Select a head made by Reconstruct Head")
            return False
        return True

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
        wanted = bpy.path.abspath(self.file) if self.template == OWN else self.template
        interpreter = preferences.interpreter(context, self.bridge_python)
        root = preferences.cache_folder(context)
        self.folder = run_files.new_run(root)
        vertices, triangles = scene_template.triangles_of(head)
        self.moved = placing.moved(head)
        vertices = transformed(vertices, self.moved.inverted())  # the capture is of the run's world
        ply, self.output = self.folder / "head.ply", self.folder / "output"
        arguments = ["wrap", str(ply), "--capture", str(capture), "--template", wanted, "-o", str(self.output)]
        return BridgeCommand(
            self.bl_label,
            interpreter,
            preferences.ROOT,
            arguments,
            root / "wrap.log",
            stage="Reading photos",
            prepare=lambda: scene_template.write_ply(ply, vertices, triangles),
        )

    def complete(self, context: bpy.types.Context) -> session.Outcome:
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
            "skullptor_of": head.name,
            "skullptor_report": str(self.output / "report.json"),
        }
        if rigs.KEY in head:
            properties[rigs.KEY] = str(head[rigs.KEY])
        arrays["shapes"] = transformed(arrays["vertices"] + arrays["shapes"], self.moved)
        arrays["vertices"] = transformed(arrays["vertices"], self.moved)
        arrays["shapes"] = arrays["shapes"] - arrays["vertices"]
        made = scene_template.create(head, arrays, f"{head.name} {report['template']}", properties)
        head.hide_set(True)
        for other in context.selected_objects:
            other.select_set(False)
        made.select_set(True)
        context.view_layer.objects.active = made
        off = report["quality"]["distance_median_mm"]
        text = f"{len(arrays['vertices']):,} vertices, {len(arrays['shapes'])} shapes, {off:.2f} mm from the head"
        report_path, picture = str(self.output / "report.json"), str(self.output / "report.png")
        return session.Outcome(ok=True, text=text, report=report_path, picture=picture, object_name=made.name)

    def clean_up(self) -> None:
        if self.folder is not None:
            run_files.drop(self.folder)


def transformed(points: np.ndarray, matrix: Matrix) -> np.ndarray:  # [..., 3]
    numbers = np.array(matrix)
    return points @ numbers[:3, :3].T + numbers[:3, 3]


CLASSES = (SKULLPTOR_OT_wrap_template,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)

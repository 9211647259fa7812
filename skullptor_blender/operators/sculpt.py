"""Sculpt Mesh: a head's triangles as quads with Multires, made by a Blender beside this one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bpy
import numpy as np
from bpy.props import EnumProperty

from ..link import run_files, session
from ..link.command import BridgeCommand
from ..link.worker import WorkerError
from ..scene import quads, result, sculpt
from ..ui import preferences, view
from .bridge_operator import BridgeOperator

FACES = (
    ("5000", "5,000 Quads", "Light enough to pose and to sculpt on any machine"),
    ("20000", "20,000 Quads", "Lids, lips and ears in the quads themselves; takes several times as long"),
)
BACKGROUND = ("-b", "--factory-startup", "--python-exit-code", "1", "-P")


class SKULLPTOR_OT_sculpt_mesh(BridgeOperator, bpy.types.Operator):
    """Lay quads over the head that carry its detail in a Multires modifier, to sculpt on. A Subdivision modifier on
    the head's own triangles takes minutes and many gigabytes. The head stays, hidden"""

    bl_idname = "skullptor.sculpt_mesh"
    bl_label = "Sculpt Mesh"
    bl_options = {"UNDO"}

    __annotations__ = {
        "faces": EnumProperty(
            name="Quads", items=FACES, default="5000", description="How many quads the base has, about"
        ),
    }

    done_text = "Sculpt mesh made: {}"
    folder: Path | None = None

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not super().poll(context):
            return False
        if result.chosen(context) is None:
            cls.poll_message_set("Select a head made by Reconstruct Head")
            return False
        return True

    @classmethod
    def description(cls, context: bpy.types.Context, properties) -> str:
        return f"{cls.__doc__}. {next(text for value, _, text in FACES if value == properties.faces)}"

    def start(self, context: bpy.types.Context) -> BridgeCommand:
        head = result.chosen(context)
        if head.mode != "OBJECT":
            cure = f"Leave its {head.mode.replace('_', ' ').title()} mode."
            raise WorkerError("mode", f"'{head.name}' is being edited.", cure)
        self.head = head.name
        root = preferences.cache_folder(context)
        self.folder = run_files.new_run(root)
        source, self.output = self.folder / "head.npz", self.folder / "sculpt.blend"
        arrays = result.arrays_of(head)
        program = Path(bpy.app.binary_path or sys.executable)  # the module has no program of its own
        background = BACKGROUND if bpy.app.binary_path else ("-B",)
        command = BridgeCommand(
            self.bl_label,
            program,
            preferences.ROOT,
            ["--", str(source), str(self.output), self.faces],
            root / "sculpt.log",
            stage="Reading the head",
            prepare=lambda: np.savez(source, **arrays),
        )
        command.entry = (*background, os.fspath(Path(quads.__file__)))
        return command

    def complete(self, context: bpy.types.Context) -> session.Outcome:
        head = context.view_layer.objects.get(self.head)
        if head is None:
            raise WorkerError("no-head", f"'{self.head}' is no longer in the scene.", "Select a head, try again.")
        try:
            made = sculpt.load(head, self.output)
        except OSError as error:
            raise WorkerError("no-result", f"The quads cannot be read: {error}.", "Run it again.") from None
        self.clean_up()
        head.hide_set(True)
        for other in context.view_layer.objects.selected:
            other.select_set(False)
        made.select_set(True)
        context.view_layer.objects.active = made
        if result.COLOR in made.data.color_attributes:
            view.show_colors(context)
        levels = made.modifiers[quads.MODIFIER].total_levels
        text = f"{len(made.data.polygons):,} quads, {levels} levels of detail"
        return session.Outcome(ok=True, text=text, object_name=made.name)

    def clean_up(self) -> None:
        if self.folder is not None:
            run_files.drop(self.folder)


CLASSES = (SKULLPTOR_OT_sculpt_mesh,)

register, unregister = bpy.utils.register_classes_factory(CLASSES)

"""Import Performance: the output of `python -m bridge sequence` as one animated object."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.props import StringProperty

from ..scene import performance


class SKULLPTOR_OT_import_performance(bpy.types.Operator):
    """Put a solved sequence into the scene: one template with point cache, shape keys and head motion"""

    bl_idname = "skullptor.import_performance"
    bl_label = "Import Performance"
    bl_options = {"UNDO"}

    __annotations__ = {
        "filepath": StringProperty(
            subtype="FILE_PATH",
            description="The folder that the sequence was written to, or a file in it",
            options={"SKIP_SAVE"},
        ),
        "filter_glob": StringProperty(default="*.pc2;*.json", options={"HIDDEN"}),
    }

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            folder = performance.folder_of(Path(bpy.path.abspath(self.filepath)))
            ob = performance.create(context.scene, context.collection, folder, folder.name)
        except (OSError, ValueError, KeyError) as error:
            self.report({"ERROR"}, f"{error} Choose the folder that `python -m bridge sequence` wrote to.")
            return {"CANCELLED"}
        context.view_layer.objects.active = ob
        self.report({"INFO"}, f"{ob.name}: frames {context.scene.frame_start} to {context.scene.frame_end}")
        return {"FINISHED"}


def menu_entry(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    self.layout.operator(SKULLPTOR_OT_import_performance.bl_idname, text="Head Performance (.pc2)")


def register() -> None:
    bpy.utils.register_class(SKULLPTOR_OT_import_performance)
    bpy.types.TOPBAR_MT_file_import.append(menu_entry)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(menu_entry)
    bpy.utils.unregister_class(SKULLPTOR_OT_import_performance)

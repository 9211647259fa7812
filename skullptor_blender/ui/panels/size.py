"""How large the rig in use is, and where it stands."""

from __future__ import annotations

import bpy

from ...scene import placing, rigs
from ...scene import result as scene_result
from .sidebar import Sidebar


class SKULLPTOR_PT_size(Sidebar, bpy.types.Panel):
    bl_label = "Size and Place"
    bl_parent_id = "SKULLPTOR_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        rig = rigs.active(context.scene)
        return next(rigs.cameras(rig, context.view_layer), None) is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.skullptor
        column = layout.column()
        column.prop(settings, "head_height")
        row = column.row()
        made = scene_result.of_rig(rigs.active(context.scene), context.view_layer)
        row.active = not made or placing.size(context.scene, placing.EYES) > 0
        row.prop(settings, "eye_distance")
        column = layout.column(align=True)
        column.operator("skullptor.centre_head", icon="MOD_MIRROR")
        column.operator("skullptor.set_scale", text="Set Scale...", icon="DRIVER_DISTANCE")

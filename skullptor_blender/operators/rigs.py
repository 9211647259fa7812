"""Rigs and their cameras: use another rig, leave cameras out, bring them back."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty

from ..link import session
from ..link.preflight import plural
from ..scene import result as scene_result
from ..scene import rigs
from .sight import frame_rig


class SKULLPTOR_OT_use_rig(bpy.types.Operator):
    """Use this rig's cameras, photographs and settings; other rigs and their heads are hidden, not changed"""

    bl_idname = "skullptor.use_rig"
    bl_label = "Use Rig"
    bl_options = {"UNDO"}

    __annotations__ = {
        "rig": StringProperty(
            name="Rig", description="Identity of the rig; empty: the scene's own cameras", options={"SKIP_SAVE"}
        )
    }

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if job := session.running():
            cls.poll_message_set(f"{job.title} is running; wait for it or cancel it")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        rig = next((rig for rig in rigs.rigs(context.scene) if rig.id == self.rig), None)
        if rig is None:
            self.report({"ERROR"}, "This rig is gone. Choose another one.")
            return {"CANCELLED"}
        rigs.use(context.scene, rig)
        rigs.show_only(rig, context.view_layer, scene_result.is_made_here)
        session.reset()
        if not scene_result.of_rig(rig, context.view_layer):
            frame_rig(context)
        return {"FINISHED"}


class SKULLPTOR_OT_leave_out(bpy.types.Operator):
    """Make heads without these cameras; they stay in the scene, and their tick brings them back"""

    bl_idname = "skullptor.leave_out"
    bl_label = "Leave Out"
    bl_options = {"UNDO"}

    __annotations__ = {
        "cameras": StringProperty(name="Cameras", description="Names of the cameras, one a line", options={"SKIP_SAVE"})
    }

    def execute(self, context: bpy.types.Context) -> set[str]:
        wanted = set(self.cameras.splitlines())
        rig = rigs.active(context.scene)
        found = [ob for ob in rigs.cameras(rig, context.view_layer) if ob.name in wanted]
        if not found:
            self.report({"ERROR"}, f"The rig '{rig.name}' has no such camera.")
            return {"CANCELLED"}
        for ob in found:
            ob.data.skullptor.use = False
        session.expire()
        self.report({"INFO"}, f"{plural(len(found), 'camera')} left out")
        return {"FINISHED"}


CLASSES = (SKULLPTOR_OT_use_rig, SKULLPTOR_OT_leave_out)


register, unregister = bpy.utils.register_classes_factory(CLASSES)

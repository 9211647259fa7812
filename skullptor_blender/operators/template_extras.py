"""What a wrapped template can be given when it is there: bones, and the dense head's relief."""

from __future__ import annotations

import bpy

from ..scene import armature, relief
from ..scene import template as scene_template
from ..ui import heat_map


class _OnTemplate:
    """For a wrapped template that is active and not being edited."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        ob = scene_template.wrapped(context)
        if ob is None or ob.mode != "OBJECT":
            cls.poll_message_set("Select a wrapped template, in Object mode")
            return False
        return True


class SKULLPTOR_OT_add_armature(_OnTemplate, bpy.types.Operator):
    """Give the template bones for neck, head, jaw and eyes; the jaw's bone does what the shape jawOpen does"""

    bl_idname = "skullptor.add_armature"
    bl_label = "Add Armature"
    bl_options = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            made = armature.put_on(scene_template.wrapped(context))
        except armature.NoBones as error:
            self.report({"ERROR"}, f"{error} Wrap the template again.")
            return {"CANCELLED"}
        self.report({"INFO"}, f"{len(made.data.bones)} bones")
        return {"FINISHED"}


class SKULLPTOR_OT_add_relief(_OnTemplate, bpy.types.Operator):
    """Bring the dense head's relief onto the template as a Multires modifier of two levels, ready to sculpt"""

    bl_idname = "skullptor.add_relief"
    bl_label = "Add Relief"
    bl_options = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = scene_template.wrapped(context)
        head = context.view_layer.objects.get(str(ob.get(scene_template.OF)))
        if head is None:
            self.report({"ERROR"}, f"The head of '{ob.name}' is no longer in the scene. Reconstruct it again.")
            return {"CANCELLED"}
        keys = ob.data.shape_keys.key_blocks if ob.data.shape_keys else ()
        moved = [key.name for key in keys if key.value > 1e-4]
        if moved:
            self.report({"ERROR"}, f"The shape '{moved[0]}' is not at 0. Set all shapes to 0, then add the relief.")
            return {"CANCELLED"}
        try:
            relief.put_on(ob, head, float(ob.data.get(heat_map.MILLIMETRE, 0.001)))
        except relief.NoRelief as error:
            self.report({"ERROR"}, f"{error} Bake the Displaced details of the texture instead.")
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (SKULLPTOR_OT_add_armature, SKULLPTOR_OT_add_relief)
register, unregister = bpy.utils.register_classes_factory(CLASSES)

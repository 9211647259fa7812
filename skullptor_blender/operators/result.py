"""What can be done with a result: look at its confidence, make it again."""

from __future__ import annotations

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty

from ..link import session
from ..link.preflight import plural
from ..scene import covers, neck, placing, profile, rigs
from ..scene import result as scene_result
from ..ui import heat_map, view
from ..ui.properties import HEAT_MAPS


class _OnResult:
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if scene_result.chosen(context) is None:
            cls.poll_message_set("Select a head made by Reconstruct Head")
            return False
        return True


class SKULLPTOR_OT_show_confidence(_OnResult, bpy.types.Operator):
    """Colour the head by how far it can be trusted, or give it back its photographs' colours"""

    bl_idname = "skullptor.show_confidence"
    bl_label = "Show Confidence"
    bl_options = {"UNDO"}

    __annotations__ = {
        "show": EnumProperty(
            name="Show",
            items=(
                *HEAT_MAPS,
                (heat_map.PHOTOGRAPHS, "Photographs", "What the head wore before"),
                (heat_map.CLAY, "Clay", "One colour, to see the shape alone"),
            ),
            description="What the colours tell. Not given: the scene's choice, or the photographs when it is shown",
            options={"SKIP_SAVE"},
        ),
    }

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = scene_result.chosen(context)
        mesh = ob.data
        what = context.scene.skullptor.heat_map
        if self.properties.is_property_set("show"):
            what = self.show
        elif heat_map.shown(mesh) == what:
            what = heat_map.PHOTOGRAPHS
        if ob.mode != "OBJECT":
            self.report({"ERROR"}, f"'{ob.name}' is being edited. Leave its {ob.mode.replace('_', ' ').title()} mode.")
            return {"CANCELLED"}
        if what in heat_map.LEGENDS and not heat_map.can_show(mesh, what):
            self.report({"ERROR"}, f"'{ob.name}' has no attribute '{what}' any more. Run it again.")
            return {"CANCELLED"}
        heat_map.show(mesh, what)
        view.show_colors(context, "MATERIAL" if what == heat_map.CLAY else "VERTEX")
        return {"FINISHED"}

    @classmethod
    def description(cls, context: bpy.types.Context, properties) -> str:
        if properties.is_property_set("show"):
            return cls.bl_rna.properties["show"].enum_items[properties.show].description
        return cls.__doc__


class SKULLPTOR_OT_run_again(_OnResult, bpy.types.Operator):
    """Reconstruct the head again with the settings that this one was made with"""

    bl_idname = "skullptor.run_again"
    bl_label = "Run Again"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if session.running():
            cls.poll_message_set("A head is being reconstructed; finish or cancel it first")
            return False
        return super().poll(context)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if bpy.app.background or context.window is None:
            return self.execute(context)
        self.run(context, "INVOKE_DEFAULT")
        return {"INTERFACE"}  # the undo step is that of the run

    def execute(self, context: bpy.types.Context) -> set[str]:
        return self.run(context, "EXEC_DEFAULT")

    def run(self, context: bpy.types.Context, mode: str) -> set[str]:
        stored = str(scene_result.chosen(context).get("skullptor_settings", ""))
        try:
            return bpy.ops.skullptor.reconstruct_head(mode, stored=stored)
        except RuntimeError as error:
            self.report({"ERROR"}, str(error).strip().removeprefix("Error: "))
            return {"CANCELLED"}


class SKULLPTOR_OT_trim_at_neck(_OnResult, bpy.types.Operator):
    """Cut the head off at its neck with a clean edge; ragged shoulders and loose pieces go"""

    bl_idname = "skullptor.trim_at_neck"
    bl_label = "Trim at Neck"
    bl_options = {"REGISTER", "UNDO"}

    __annotations__ = {
        "lower": FloatProperty(
            name="Lower",
            description="Cut so much lower than where the neck ends; negative: higher",
            subtype="DISTANCE",
            unit="LENGTH",
            default=0.0,
            soft_min=-0.1,
            soft_max=0.1,
            options={"SKIP_SAVE"},
        ),
    }

    def execute(self, context: bpy.types.Context) -> set[str]:
        ob = scene_result.chosen(context)
        if ob.mode != "OBJECT":
            self.report({"ERROR"}, f"'{ob.name}' is being edited. Leave its {ob.mode.replace('_', ' ').title()} mode.")
            return {"CANCELLED"}
        mesh = ob.data
        if len(mesh.vertices) < 100 or mesh.shape_keys:
            self.report({"ERROR"}, f"'{ob.name}' is no head that can be cut: it has shape keys or hardly a vertex.")
            return {"CANCELLED"}
        confidence = None
        if heat_map.can_show(mesh, heat_map.CONFIDENCE):
            confidence = np.empty(len(mesh.vertices), np.float32)
            mesh.attributes[heat_map.CONFIDENCE].data.foreach_get("value", confidence)
        rig = rigs.of_head(context.scene, ob)
        up = np.array(rigs.up(rig, context.view_layer))
        front = placing.front_of(rig, context.view_layer, up)
        normal, distance = profile.neck_plane(placing.vertices_of(mesh).astype(float), up, front, confidence)
        gone = neck.cut(mesh, normal * (distance - self.lower), normal)
        self.report({"INFO"}, f"{gone:,} vertices cut off" if gone >= 0 else "The head is cut")
        return {"FINISHED"}


class SKULLPTOR_OT_show_head(_OnResult, bpy.types.Operator):
    """Show the hidden head again in place of what was made of it"""

    bl_idname = "skullptor.show_head"
    bl_label = "Show Head"
    bl_options = {"UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        head, active = scene_result.chosen(context), context.view_layer.objects.active
        if context.object is not None and context.object.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        if scene_result.source_of(active, context.view_layer) == head:
            active.hide_set(True)
        for other in context.view_layer.objects.selected:
            other.select_set(False)
        head.hide_set(False)
        head.select_set(True)
        context.view_layer.objects.active = head
        view.show_colors(context, "MATERIAL" if heat_map.shown(head.data) == heat_map.CLAY else "VERTEX")
        return {"FINISHED"}


class SKULLPTOR_OT_show_covered(bpy.types.Operator):
    """Show the objects again that were hidden because they covered the head"""

    bl_idname = "skullptor.show_covered"
    bl_label = "Show Again"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not covers.hidden(context.view_layer):
            cls.poll_message_set("Nothing was hidden")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        self.report({"INFO"}, f"{plural(covers.show_again(context.view_layer), 'object')} shown again")
        return {"FINISHED"}


CLASSES = (
    SKULLPTOR_OT_show_confidence,
    SKULLPTOR_OT_run_again,
    SKULLPTOR_OT_trim_at_neck,
    SKULLPTOR_OT_show_head,
    SKULLPTOR_OT_show_covered,
)


register, unregister = bpy.utils.register_classes_factory(CLASSES)

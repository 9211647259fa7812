"""Set Scale: rig and heads to true size from one known length, such as the distance of the pupils."""

from __future__ import annotations

import bmesh
import bpy
import numpy as np
from bpy.props import FloatProperty
from mathutils import Matrix, Vector

from ..link import session
from ..link.preflight import plural
from ..scene import capture as scene_capture
from ..scene import placing, rigs
from ..scene import result as scene_result

INTERPUPILLARY = 0.063  # metres, the mean of adults; most lie within 54 and 74 mm


def ends(context: bpy.types.Context) -> tuple[Vector, Vector] | None:
    """The two places in the world: two selected vertices of the mesh in Edit Mode, else two selected objects."""
    ob = context.view_layer.objects.active
    if ob is not None and ob.type == "MESH" and ob.mode == "EDIT":
        chosen = [vertex.co for vertex in bmesh.from_edit_mesh(ob.data).verts if vertex.select]
        places = [ob.matrix_world @ co for co in chosen]
    else:
        places = [other.matrix_world.translation.copy() for other in context.view_layer.objects.selected]
    return (places[0], places[1]) if len(places) == 2 else None


class SKULLPTOR_OT_set_scale(bpy.types.Operator):
    """Scale cameras and heads so that two selected vertices (in Edit Mode) or objects are so far apart"""

    bl_idname = "skullptor.set_scale"
    bl_label = "Set Scale"
    bl_options = {"REGISTER", "UNDO"}

    __annotations__ = {
        "length": FloatProperty(
            name="Length",
            description="True distance of the two places, by default that of an adult's pupils",
            subtype="DISTANCE",
            unit="LENGTH",
            default=INTERPUPILLARY,
            min=1e-6,
            soft_max=1.0,
            precision=4,
        )
    }

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if ends(context) is None:
            cls.poll_message_set("Select two vertices of a head in Edit Mode, such as the pupils, or two objects")
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.in_units_of(context.scene)
        return context.window_manager.invoke_props_dialog(self)

    def in_units_of(self, scene: bpy.types.Scene) -> None:
        """The default is in metres, a length in units of the scene."""
        if not self.properties.is_property_set("length"):
            self.length = INTERPUPILLARY / scene.unit_settings.scale_length

    def execute(self, context: bpy.types.Context) -> set[str]:
        self.in_units_of(context.scene)
        a, b = ends(context)
        distance = (a - b).length
        if distance < 1e-12:
            self.report({"ERROR"}, "The two places are the same. Select two that lie apart.")
            return {"CANCELLED"}
        factor = self.length / distance
        about = Matrix.Translation((a + b) / 2)
        change = about @ Matrix.Scale(factor, 4) @ about.inverted()
        rig = rigs.active(context.scene)
        pickers = [] if context.mode == "EDIT_MESH" else list(context.view_layer.objects.selected)
        placing.change(rig, context.view_layer, change, others=pickers)
        meshes = {ob.data for ob in scene_result.of_rig(rig, context.view_layer)}
        count = sum(1 for _ in scene_capture.cameras(context.view_layer))
        text = f"{plural(count, 'camera')} and {plural(len(meshes), 'head')} scaled by {factor:.4g}"
        self.report({"INFO"}, text)
        return {"FINISHED"}


class SKULLPTOR_OT_centre_head(bpy.types.Operator):
    """Move and turn the rig and its heads so that the face's mirror plane is X = 0, as mirrored sculpting needs it"""

    bl_idname = "skullptor.centre_head"
    bl_label = "Centre on X"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        head = scene_result.chosen(context)
        if head is None or head.mode != "OBJECT" or session.running():
            cls.poll_message_set("Select a head made by Reconstruct Head, in Object Mode, while nothing runs")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        head = scene_result.chosen(context)
        rig = rigs.of_head(context.scene, head)
        up = np.array(rigs.up(rig, context.view_layer))
        front = placing.front_of(rig, context.view_layer, up)
        plane = placing.study(placing.vertices_of(head.data), up, front).plane
        if plane is None:
            self.report({"ERROR"}, f"No mirror plane was found in '{head.name}'. Turn the rig by hand.")
            return {"CANCELLED"}
        moved, turned = placing.centre(context.view_layer, rig, head, plane)
        moved *= context.scene.unit_settings.scale_length * 1000
        self.report({"INFO"}, f"Moved by {moved:.1f} mm and turned by {np.degrees(turned):.1f}°")
        return {"FINISHED"}


CLASSES = (SKULLPTOR_OT_set_scale, SKULLPTOR_OT_centre_head)


register, unregister = bpy.utils.register_classes_factory(CLASSES)

"""Apply Refined Cameras: what a run found out about the cameras, into the scene."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ..link.preflight import ViewRecord, plural
from ..scene import cameras as scene_cameras
from ..scene import conventions, placing
from ..scene import result as scene_result

SAME = 1e-3  # of the distance, and radians: a camera further from where the run saw it was moved since


class SKULLPTOR_OT_apply_refined_cameras(bpy.types.Operator):
    """Move the scene's cameras to where this head's run found them. Cameras that were moved since, or that are
    animated or constrained, stay"""

    bl_idname = "skullptor.apply_refined_cameras"
    bl_label = "Apply Refined Cameras"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        settings = scene_result.stored(scene_result.chosen(context), "skullptor_settings")
        if settings.get("refine_cameras", False) is False:
            cls.poll_message_set("Select a head that was made with Refine Cameras")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        found = scene_result.refined_captures(scene_result.chosen(context))
        if found is None:
            self.report({"ERROR"}, "This head's run left the cameras as they were, or its folder is gone")
            return {"CANCELLED"}
        try:
            given, refined = map(records, found)
        except scene_cameras.ImportProblem as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        moved, stayed = [], []
        to_scene = placing.moved(scene_result.chosen(context))
        for name in given.keys() & refined.keys():
            ob = context.view_layer.objects.get(name)
            change = to_scene @ _matrix(refined[name]) @ _matrix(given[name]).inverted() @ to_scene.inverted()
            free = ob is not None and ob.type == "CAMERA" and not is_driven(ob)
            if not free or not _stands(to_scene.inverted() @ ob.matrix_world, given[name]):
                stayed.append(name)
                continue
            ob.matrix_world = change @ ob.matrix_world
            moved.append(name)
        if not moved:
            sentence = (
                "No camera stands where this head's run saw it, free to move: nothing was changed."
                " Put the cameras back, or use Import Capture on the run's folder 'refined'."
            )
            self.report({"ERROR"}, sentence)
            return {"CANCELLED"}
        left = f"; {', '.join(sorted(stayed))} stayed" if stayed else ""
        self.report({"INFO"}, f"{plural(len(moved), 'camera')} moved{left}")
        return {"FINISHED"}


def records(folder: Path) -> dict[str, ViewRecord]:
    body, _ = scene_cameras.parse(folder)
    return {view["name"]: scene_cameras.record(view) for view in body["views"]}


def is_driven(ob: bpy.types.Object) -> bool:
    """Would Blender put the camera back?"""
    return ob.animation_data is not None or bool(ob.constraints)


def _matrix(record: ViewRecord) -> Matrix:
    return Matrix(conventions.matrix_from_pose(record.R, record.t))


def _stands(place: Matrix, record: ViewRecord) -> bool:
    """Is the camera where it was? Its roll may differ by that of its picture. place: in the world of the run."""
    try:
        R, t = conventions.pose_from_matrix(np.array(place))
    except ValueError:
        return False
    far = max(float(np.linalg.norm(record.t)), 1e-9)
    return bool(np.linalg.norm(R.T @ t - record.R.T @ record.t) < SAME * far and R[2] @ record.R[2] > 1 - SAME**2 / 2)


register, unregister = bpy.utils.register_classes_factory((SKULLPTOR_OT_apply_refined_cameras,))

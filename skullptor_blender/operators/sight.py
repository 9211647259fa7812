"""What a run and an import do to what the artist sees: never a speck, never inside something.

The view is moved for a rig's first head only; from then on it is the artist's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import bpy
import numpy as np

from ..link.preflight import ViewRecord
from ..scene import capture as scene_capture
from ..scene import covers, placing, rigs, subject
from ..scene import result as scene_result
from ..ui import view

OUTGROWN = 1.15  # times the size that was framed


class Sight:
    """From the press of the button to the head. Outside a window it only tells whose rig it is."""

    def __init__(self, context: bpy.types.Context, records: Sequence[ViewRecord]) -> None:
        rig = rigs.active(context.scene)
        self.rig = rig.id
        self.records = records
        self.first = not scene_result.of_rig(rig, context.view_layer)
        self.earlier: tuple[str, ...] = ()  # names of heads that would stand in the growing one
        self.covered: tuple[str, ...] = ()  # names of what else would
        self.grows = False
        self.framed = 0.0  # radius of what stands in the view

    def begin(self, context: bpy.types.Context) -> None:
        """The button was pressed: stand where the head will be."""
        expected = subject.head_of(self.records)
        self.covered = covers.hide(
            context.view_layer, covers.covering(context.view_layer, expected.center, expected.radius)
        )
        if self.first and not self._through_own_camera(context):
            view.look_at(context, expected)

    def grow(self, context: bpy.types.Context, vertices: np.ndarray) -> None:
        """The growing mesh tells how large the head really is: the view steps back when it outgrows it."""
        if not self.grows:
            self.grows = True
            self.earlier = scene_result.hide_all(context.view_layer)
        if self.first and view.untouched(context):
            seen = subject.head_of(self.records, vertices)
            if not 1 / OUTGROWN < seen.radius / max(self.framed, 1e-12) < OUTGROWN:
                self.framed = seen.radius
                view.look_at(context, seen)

    def end(self, context: bpy.types.Context, made: bool) -> None:
        """The run is over; made: a head comes. What stood in it stays hidden then, until it is asked for."""
        if context.view_layer is None:  # Blender is quitting
            return
        scene_result.show_again(context.view_layer, self.earlier)
        if not (made and self.first):
            covers.show_again(context.view_layer, self.covered)
        self.earlier = ()

    def study(self, context: bpy.types.Context) -> Callable[[Mapping[str, np.ndarray]], placing.Shape]:
        """What is to be asked about the head's surface in a thread, before it arrives."""
        rig = rigs.active(context.scene)
        up = np.array(rigs.up(rig, context.view_layer))
        front, mirror = placing.front_of(rig, context.view_layer, up), self._to_be_centred(rig)
        return lambda arrays: placing.study(arrays["vertices"], up, front, mirror)

    def place(self, context: bpy.types.Context, head: bpy.types.Object, shape: placing.Shape, eyes) -> None:
        """A head tells its rig's size; the first one of a rig that was turned upright, where its mirror plane is."""
        if context.view_layer is not None and head.name in context.scene.objects:
            rig = rigs.of_head(context.scene, head)
            placing.arrive(context.view_layer, head, shape, eyes, self._to_be_centred(rig))

    def _to_be_centred(self, rig: rigs.Rig) -> bool:
        return self.first and rigs.empty(rig) is not None

    def done(self, context: bpy.types.Context, head: bpy.types.Object) -> None:
        """The head is there: selected, active, and the first one of a rig framed in its photographs' colours."""
        layer = context.view_layer
        if layer is None or view.space(context) is None:
            return  # scripts keep their selection
        layer.update()  # or it does not know the head yet
        if head.name not in layer.objects:
            return
        if context.mode == "OBJECT":
            for other in layer.objects.selected:
                other.select_set(False, view_layer=layer)
            head.select_set(True, view_layer=layer)
            layer.objects.active = head
        if self.first:
            view.show_colors(context)
            if view.untouched(context):
                co = np.empty(3 * len(head.data.vertices), np.float32)
                head.data.vertices.foreach_get("co", co)
                view.look_at(context, subject.head_of(self.records, co.reshape(-1, 3)))

    def _through_own_camera(self, context: bpy.types.Context) -> bool:
        camera = view.through_camera(context)
        rig = rigs.active(context.scene)
        return camera is not None and camera in set(rigs.cameras(rig, context.view_layer))


def frame_rig(context: bpy.types.Context) -> None:
    """After an import: the whole rig in view, and nothing where its head will be."""
    if view.space(context) is None:
        return
    depsgraph = context.evaluated_depsgraph_get()
    records = scene_capture.read_cameras(context.scene, context.view_layer, depsgraph).records
    if len(records) < 2:
        return
    head = subject.head_of(records)
    covers.hide(context.view_layer, covers.covering(context.view_layer, head.center, head.radius))
    view.look_at(context, subject.rig_of(records), fill=0.9)
    view.hide_relationship_lines(context)

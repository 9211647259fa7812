"""The batch's task "performance": frames in, one animated object and its files out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import bpy

from ..scene import performance, performance_files
from .trouble import Trouble


def perform(options: argparse.Namespace, call: Callable) -> tuple[bpy.types.Object, str, str]:
    """The animated object, what was done, what went wrong or nothing. Raises Trouble."""
    if options.solved:
        ob = imported(Path(options.solved))
        first, last = performance.frames_of(ob)
        said = f"frames {first} to {last} are imported"
    else:
        asked = {
            "frame_start": options.frame_start, "frame_end": options.frame_end, "key_frame": options.key,
            "directory": options.folder, "bridge_python": options.bridge_python, "template": options.template,
        }  # fmt: skip
        outcome = call(
            bpy.ops.skullptor.solve_performance, **{name: value for name, value in asked.items() if value is not None}
        )
        for warning in outcome.warnings:
            print(f"Warning: {warning}", flush=True)
        ob, said = bpy.data.objects[outcome.object_name], outcome.text
    try:
        for path in options.export or ():
            performance_files.export(bpy.context, ob, path.resolve(), *performance.frames_of(ob))
            print(f"Wrote {path}", flush=True)
    except (ValueError, RuntimeError) as error:
        return ob, said, str(error).strip()
    return ob, said, ""


def imported(folder: Path) -> bpy.types.Object:
    """What a sequence wrote, in the scene. Raises Trouble."""
    try:
        bpy.ops.skullptor.import_performance("EXEC_DEFAULT", filepath=str(folder))
    except RuntimeError as error:
        raise Trouble(str(error).strip()) from None
    return bpy.context.view_layer.objects.active

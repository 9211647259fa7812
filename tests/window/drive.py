"""Drives a real Blender window through a whole run and photographs it.

    blender --python tests/window/drive.py -- OUTPUT_FOLDER CAPTURE

The built zip must be installed and enabled. SKULLPTOR_BRIDGE_COMMAND=serve takes the real bridge. Every step is a timer
callback, so that Blender's own loop, redraws and mouse events run between them. Writes *.png, numbers.json and verdict
("0" when all went well) to OUTPUT_FOLDER.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import bpy
from mathutils import Euler

OUT, CAPTURE = (Path(argument) for argument in sys.argv[sys.argv.index("--") + 1 :][:2])
os.environ.setdefault("SKULLPTOR_BRIDGE_COMMAND", "dummy --seconds 6")
START = time.monotonic()
NUMBERS: dict = {"blender": bpy.app.version_string}
beats: list[float] = []
bpy.context.preferences.view.show_splash = False


def log(*words) -> None:
    print(f"DRIVE {time.monotonic() - START:6.2f}s", *words, flush=True)


def shot(name: str) -> None:
    # screen.screenshot is black under software GL, so X is asked
    subprocess.run(["import", "-window", "root", str(OUT / f"{name}.png")], check=True, timeout=20)
    log("shot", name)


def view3d(kind: str = "WINDOW"):
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, next(region for region in area.regions if region.type == kind)


def override(kind: str = "WINDOW"):
    window, area, region = view3d(kind)
    return bpy.context.temp_override(window=window, area=area, region=region)


def module(name: str):
    return sys.modules[f"bl_ext.user_default.skullptor_blender.skullptor_blender.{name}"]


def wait(condition, what: str, limit: float = 60.0):
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit:
            raise TimeoutError(what)
        yield 0.05
    log(f"waited {time.monotonic() - began:.2f} s for", what)


def beat():
    beats.append(time.monotonic())
    return 0.01


def pauses() -> dict:
    """How long the main thread was away, over the beats since the last call."""
    gaps = sorted(b - a for a, b in zip(beats, beats[1:]))
    beats.clear()
    if not gaps:
        return {}
    return {"beats": len(gaps), "median": gaps[len(gaps) // 2], "p99": gaps[int(len(gaps) * 0.99)], "longest": gaps[-1]}


def click(text_y: float, x: float = 0.5):
    """A real mouse click in the sidebar; text_y counts pixels from its top."""
    window, _, region = view3d("UI")
    px, py = region.x + region.width * x, window.height - (region.y + region.height) + text_y
    subprocess.run(["xdotool", "mousemove", str(int(px)), str(int(py))], check=True)
    yield 0.3  # Blender has to see the hover first
    subprocess.run(["xdotool", "click", "1"], check=True)
    yield 0.1


def watch_own_time() -> list[float]:
    """How long each step of the running operator holds the window."""
    own: list[float] = []
    operator = module("operators").SKULLPTOR_OT_reconstruct_head
    step = operator.modal

    def timed(self, context, event):
        began = time.monotonic()
        try:
            return step(self, context, event)
        finally:
            own.append(time.monotonic() - began)

    operator.modal = timed
    return own


def story():
    yield 1.0
    session = module("session")
    own = watch_own_time()
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    with override():
        bpy.ops.skullptor.import_capture(filepath=str(CAPTURE))
        # stand beside the rig and look at its middle
        space = view3d()[1].spaces.active
        space.region_3d.view_perspective = "PERSP"
        space.overlay.show_relationship_lines = False
        bpy.ops.view3d.view_all()
    if os.environ["SKULLPTOR_BRIDGE_COMMAND"] == "serve":  # a real head: come closer to see it grow
        bpy.context.window_manager.windows[0].scene.skullptor.preset = "draft"
        place = module("scene_capture"), module("preflight")
        found = place[0].survey(bpy.context.scene, bpy.context.view_layer, bpy.context.evaluated_depsgraph_get())
        point, _ = place[1].common_point([view.record for view in found.usable])
        region_3d = view3d()[1].spaces.active.region_3d
        region_3d.view_location, region_3d.view_distance = point, 0.8
        # half from the front, so that the first camera does not hide the face
        front = bpy.data.objects[found.usable[0].camera].matrix_world.to_quaternion()
        region_3d.view_rotation = Euler((0.0, 0.0, -0.5)).to_quaternion() @ front
    bpy.ops.ed.undo_push(message="Import Capture")
    _, area, _ = view3d()
    area.spaces.active.show_region_ui = True
    yield 0.5  # the tabs exist only after a redraw
    view3d("UI")[2].active_panel_category = "Skullptor"
    area.tag_redraw()
    yield 0.7
    shot("1-ready")
    bpy.app.timers.register(beat)
    yield 0.3
    pauses()
    cameras = len(bpy.data.cameras)
    with override():
        began = time.monotonic()
        bpy.ops.skullptor.reconstruct_head("INVOKE_DEFAULT")
        NUMBERS["invoke_s"] = time.monotonic() - began
    for share in (0.25, 0.5, 0.75):
        yield from wait(lambda share=share: not session.job or session.job.fraction >= share, f"{share:.0%}", 300)
        NUMBERS[f"pauses to {share:.0%}"] = pauses()
        shot(f"2-running-{share:.0%}".rstrip("%"))
        yield 0.2
        pauses()
    yield from wait(lambda: session.job is None, "the head", 300)
    NUMBERS["pauses to the end"] = pauses()
    NUMBERS["own steps"] = {"count": len(own), "longest": max(own[:-1]), "the result": own[-1]}
    if not session.outcome.ok:
        raise RuntimeError(session.outcome.text)
    yield 0.5
    shot("3-done")
    assert "Head" in bpy.data.objects
    with override():
        bpy.ops.ed.undo()
    yield 0.3
    assert "Head" not in bpy.data.objects and len(bpy.data.cameras) == cameras
    with override():
        bpy.ops.ed.redo()
    yield 0.3
    assert "Head" in bpy.data.objects
    log("undo and redo are one step each")
    # cancel, and how long it takes
    with override():
        bpy.ops.skullptor.reconstruct_head("INVOKE_DEFAULT")
    yield from wait(lambda: session.job.fraction > 0.3, "the second run", 300)
    began = time.monotonic()
    with override():
        bpy.ops.skullptor.cancel()
    yield from wait(lambda: session.job is None, "Cancel", 15)
    NUMBERS["cancel_s"] = time.monotonic() - began
    yield 0.4
    shot("4-cancelled")
    (path,) = [OUT / "saved.blend"]
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    # another file in mid-run: the child is gone
    with override():
        bpy.ops.skullptor.reconstruct_head("INVOKE_DEFAULT")
    yield from wait(lambda: session.job.fraction > 0.1, "the third run", 300)
    pid = session.job.worker.pid
    bpy.ops.wm.open_mainfile(filepath=str(path))
    yield 0.5
    assert not Path(f"/proc/{pid}").exists(), "the bridge outlived its file"
    assert "Head" in bpy.data.objects
    mesh = bpy.data.objects["Head"].data
    assert len(mesh.attributes["confidence"].data) == len(mesh.vertices)
    log("saved, reopened: all there")


STORY = story()


def step():
    try:
        return next(STORY)
    except StopIteration:
        log("OK")
        code = 0
    except BaseException:
        traceback.print_exc()
        log("FAILED")
        code = 1
    (OUT / "numbers.json").write_text(json.dumps(NUMBERS, indent=1))
    (OUT / "verdict").write_text(str(code))  # quit_blender always exits 0
    sys.stdout.flush()
    bpy.ops.wm.quit_blender()
    return None


bpy.app.timers.register(step, first_interval=0.1, persistent=True)

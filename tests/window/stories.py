"""What an artist does in a window, told for driver.Window. Each story fails by raising."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from driver import Steps, Watch, Window, log, save
from mathutils import Quaternion, Vector

BUTTON = "skullptor.reconstruct_head"
MOST_CLICKS = 6


def heads() -> list[bpy.types.Object]:
    return [ob for ob in bpy.data.objects if "skullptor_version" in ob and ob.type == "MESH"]


def state() -> dict:
    """The scene as far as a run may touch it."""
    return {
        "objects": sorted(ob.name for ob in bpy.data.objects),
        "meshes": sum(mesh.users > 0 for mesh in bpy.data.meshes),
        "cameras": {ob.name: [round(x, 6) for row in ob.matrix_world for x in row] for ob in cameras()},
        "collections": sorted(collection.name for collection in bpy.data.collections),
    }


def cameras() -> list[bpy.types.Object]:
    return [ob for ob in bpy.data.objects if ob.type == "CAMERA"]


def middle(window: Window):
    """The point that the cameras look at, as the add-on finds it."""
    capture, preflight = window.module("scene.capture"), window.module("link.preflight")
    context = bpy.context
    found = capture.read_cameras(window.scene, window.scene.view_layers[0], context.evaluated_depsgraph_get())
    return preflight.common_point([view.record for view in found.usable])[0]


def import_by_hand(window: Window, capture: Path) -> Steps:
    """Clicks 1 to 4: tab, Import Capture, path, Import."""
    yield from window.open_tab()
    yield from browse(window, capture, "skullptor.add_photographs", "Import Photographs")
    yield from window.wait(lambda: len(cameras()) > 2, "the cameras", 30)
    yield 0.7


def browse(window: Window, path: Path, operator: str, button: str) -> Steps:
    """A button that opens the file browser, a path typed there, and the browser's own button."""
    yield from window.click(operator)
    yield from window.wait(lambda: len(bpy.context.window_manager.windows) > 1 or has_browser(), "the file browser", 20)
    yield 1.0
    window.bring_into_view()
    yield 0.5
    window.shot("04-one-door")
    yield from window.click("directory", "FILE_BROWSER", "UI", columns=(0.4,))
    yield from window.key("ctrl+a")
    yield from window.type(str(path))
    yield from window.key("Return")
    yield 1.5
    window.shot("04-folder")
    try:
        yield from window.find("file.execute", "FILE_BROWSER", "EXECUTE", columns=(0.9,))
    except LookupError:  # Blender 5.2 completes the path at the first Return and leaves the field at the second
        yield from window.key("Return")
        yield from window.find("file.execute", "FILE_BROWSER", "EXECUTE", columns=(0.9,))
    window.shot("browser")
    yield from window.press(*window.found, button)


def has_browser() -> bool:
    manager = bpy.context.window_manager
    return any(area.type == "FILE_BROWSER" for window in manager.windows for area in window.screen.areas)


def import_quickly(window: Window, capture: str) -> Steps:
    for ob in list(bpy.data.objects):
        bpy.data.objects.remove(ob)
    with window.override():
        bpy.ops.skullptor.import_capture(filepath=capture)
    bpy.ops.ed.undo_push(message="Import Capture")
    yield 0.3
    window.frame_head(middle(window))
    yield 0.3


def begin(window: Window) -> Steps:
    """A run by script, for the stories that are about its end."""
    with window.override():
        bpy.ops.skullptor.reconstruct_head("INVOKE_DEFAULT")
    session = window.module("link.session")
    if session.job is None:
        raise RuntimeError(session.outcome.text)
    yield 0.05


def succeed(session) -> None:
    if not session.outcome.ok:
        raise RuntimeError(f"{session.outcome.text} {session.outcome.cure}")


def head(window: Window, capture: str, preset: str = "draft") -> Steps:
    """From a fresh Blender with a capture folder to a head, by mouse; then undo, redo, Cancel, save and reopen."""
    session = window.module("link.session")
    watch = Watch(window)
    view, _, region = window.area()
    yield from window.hover(*window.screen(view, region.width * 0.3, region.height * 0.5))
    yield from window.key("a")  # the cube of a new file would hide the head
    yield from window.key("Delete")
    yield 0.5
    yield from import_by_hand(window, Path(capture))
    window.frame_head(middle(window))
    window.scene.skullptor.preset = preset
    window.area()[1].spaces.active.overlay.show_relationship_lines = False
    yield 0.7
    window.shot("1-ready")
    yield from window.find(BUTTON)
    # what the window itself costs here: nothing happening, and its redraws at the pace of a run
    yield 0.5
    watch.clear()
    yield 3.0
    window.numbers["idle"] = watch.read()
    redraw = window.module("ui.redraw")
    watch.clear()
    for _ in range(8):
        redraw.views(bpy.context)
        redraw.panels(bpy.context)
        yield 0.4
    window.numbers["redraws without a job"] = watch.read()
    watch.addon()
    before = state()

    # the first run: measured, nothing else happens
    grown = grow(window)
    watch.clear()
    began = time.monotonic()
    yield from window.press(*window.found, BUTTON)
    if session.job is None:
        raise RuntimeError(session.outcome.text if session.outcome else "the button did not start a run")
    yield from window.wait(lambda: session.job is None, "the head", 900, look=0.2)
    window.numbers["seconds to the head"] = round(time.monotonic() - began, 2)
    window.numbers["while a job ran"] = watch.read()
    succeed(session)
    if len(window.clicks) > MOST_CLICKS:
        raise AssertionError(f"{len(window.clicks)} clicks: {window.clicks}")
    window.numbers["clicks to the head"] = list(window.clicks)
    carving = [(when, count) for when, count in grown if count]
    if len(carving) < 3 or carving[-1][1] <= carving[0][1]:
        raise AssertionError(f"the mesh did not grow in the viewport: {carving}")
    spans = [b[0] - a[0] for a, b in zip(carving, carving[1:])]
    window.numbers["previews"] = {
        "count": len(carving),
        "per_second": round((len(carving) - 1) / sum(spans), 2),
        "longest_gap_s": round(max(spans), 2),
        "vertices": [carving[0][1], carving[-1][1]],
    }
    save(window)
    yield 1.0
    after = state()
    (made,) = heads()
    vertices = len(made.data.vertices)
    yield from window.hover(*window.screen(*by_view(window, 0.3, 0.4)))
    yield from window.key("ctrl+z")
    yield 0.5
    if state() != before:
        raise AssertionError(f"one undo left {state()} instead of {before}")
    yield from window.key("ctrl+shift+z")
    yield 0.5
    if state() != after or len(heads()[0].data.vertices) != vertices:
        raise AssertionError("redo did not bring the head back")

    # the second run, with the first head undone again: photographed. The bridge is warm and knows the normals
    yield from window.hover(*window.screen(*by_view(window, 0.3, 0.4)))
    yield from window.key("ctrl+z")
    yield 0.5
    window.scene.skullptor.preset = preset  # set by script, it was no step of its own and is undone as well
    yield from window.find(BUTTON)
    grown.clear()
    yield from window.press(*window.found, BUTTON)
    for share in (0.25, 0.5, 0.75):
        yield from window.wait(
            lambda share=share: session.job is None or (session.job.fraction >= share and grown), f"{share:.0%}", 600
        )
        yield 0.3  # the mesh of this moment is drawn
        if session.job is not None:
            window.shot(f"2-running-{share:.0%}".rstrip("%"))
    yield from window.wait(lambda: session.job is None, "the second head", 900)
    succeed(session)
    with window.override():
        space = window.area()[1].spaces.active
        space.shading.type, space.shading.color_type = "SOLID", "VERTEX"
    yield 2.0
    window.shot("3-done")

    # the third: cancelled by mouse
    before = state()
    yield from window.click(BUTTON)
    yield from window.wait(lambda: session.job is None or session.job.fraction > 0.4, "the middle of a third run", 600)
    yield from window.find("skullptor.cancel", columns=(0.75, 0.3))
    if session.job is not None:
        began = time.monotonic()
        yield from window.press(*window.found, "skullptor.cancel")
        yield from window.wait(lambda: session.job is None, "Cancel", 30, look=0.01)
        window.numbers["cancel by mouse, s"] = round(time.monotonic() - began, 3)
        if state() != before:
            raise AssertionError("a cancelled run left something in the scene")
    yield 0.5
    window.shot("4-cancelled")

    # save, reopen: all there
    path = window.out / "saved.blend"
    after = state()
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    yield 1.0
    if state() != after:
        raise AssertionError(f"reopened, the file has {state()} instead of {after}")
    for ob in heads():
        for name in ("view_count", "confidence", "normal_error", "color"):
            if len(ob.data.attributes[name].data) != len(ob.data.vertices):
                raise AssertionError(f"{name} was not saved")
        json.loads(ob["skullptor_settings"])


def photo_to_head(window: Window, photograph: str, preset: str = "draft") -> Steps:
    """A new user with a single photograph in the factory scene: four clicks to a whole head, and what it says then."""
    session = window.module("link.session")
    window.scene.skullptor.preset = preset
    yield 0.5
    yield from window.open_tab()
    window.shot("1-factory")
    began = time.monotonic()
    yield from browse(window, Path(photograph), "skullptor.photo_to_head", "Photo to Head")
    yield from window.wait(lambda: session.job is not None or session.outcome is not None, "a start", 30)
    yield from window.wait(
        lambda: session.outcome is not None and not session.outcome.ok or session.job and session.job.fraction > 0.6,
        "a growing head",
        600,
    )
    window.shot("2-growing")
    yield from window.wait(lambda: session.job is None and bool(heads()), "the head", 900, look=0.2)
    succeed(session)
    window.numbers["seconds from the button to the head"] = round(time.monotonic() - began, 1)
    yield 1.5
    window.shot("3-done")
    if len(window.clicks) > 4:
        raise AssertionError(f"{len(window.clicks)} clicks: {window.clicks}")
    said = [remark.code for remark in session.outcome.remarks]
    if "few-photographs" not in said:
        raise AssertionError(f"nothing said of what more photographs would show: {said}")
    bpy.context.window_manager.skullptor_details = True
    window.module("ui.redraw").panels(bpy.context)
    yield 1.0
    window.shot("4-details")
    (made,) = heads()
    if made.data.validate():
        raise AssertionError("the head's mesh was not valid")
    height = max(v.co.z for v in made.data.vertices) - min(v.co.z for v in made.data.vertices)
    window.numbers["height of the head, m"] = round(height * made.matrix_world.to_scale().z, 3)
    region_3d = window.area()[1].spaces.active.region_3d
    for name, turn in (("side", 1.4), ("behind", 2.9)):
        region_3d.view_rotation = Quaternion((0, 0, 1), turn) @ Quaternion((1, 0, 0), 1.5)
        yield 1.0
        window.shot(f"5-{name}")


def by_view(window: Window, x: float, y: float):
    view, _, region = window.area()
    return view, region.x + region.width * x, region.y + region.height * y


def grow(window: Window) -> list[tuple[float, int]]:
    """(when, vertices) of each mesh that is drawn in the viewport from now on."""
    preview, seen = window.module("ui.preview"), []
    show = preview.show

    def seeing(mesh) -> None:
        show(mesh)
        seen.append((time.monotonic(), len(mesh.vertices)))

    preview.show = seeing
    return seen


def cancels(window: Window, capture: str, preset: str = "draft", points: str = "20") -> Steps:
    """Cancel at random moments of runs that predict anew each time; the seconds until the window is free again."""
    session, dice = window.module("link.session"), random.Random(1)
    yield from import_quickly(window, capture)
    window.scene.skullptor.preset = preset
    began = time.monotonic()
    yield from begin(window)
    yield from window.wait(lambda: session.job is None, "the whole run", 900)
    succeed(session)
    whole, rows = time.monotonic() - began, []
    for i in range(int(points)):
        shutil.rmtree(Path(os.environ["SKULLPTOR_CACHE"], "stages"), ignore_errors=True)
        yield from begin(window)
        end = time.monotonic() + whole * (i + dice.random()) / int(points)
        while session.job is not None and time.monotonic() < end:
            yield 0.02
        if session.job is None:
            continue  # it was faster than the first
        stage, began = session.job.stage, time.monotonic()
        with window.override():
            bpy.ops.skullptor.cancel()
        yield from window.wait(lambda: session.job is None, "Cancel", 30, look=0.01)
        rows.append({"stage": stage, "latency_s": round(time.monotonic() - began, 3)})
        log(rows[-1])
    times = sorted(row["latency_s"] for row in rows)
    window.numbers["cancel"] = {"median_s": times[len(times) // 2], "longest_s": times[-1], "points": rows}


def preferences(window: Window, capture: str) -> Steps:
    """What an artist sees who has not set anything up, and who asks the doctor."""
    session = window.module("link.session")
    package = bpy.context.preferences.addons["bl_ext.user_default.skullptor_blender"].module
    with window.override():
        bpy.ops.preferences.addon_show(module=package)
    yield 1.5
    window.bring_into_view()
    yield 0.7
    window.shot("preferences")
    with window.override("PREFERENCES"):
        bpy.ops.skullptor.doctor("INVOKE_DEFAULT")
    yield from window.wait(lambda: not session.doctor_running, "the doctor", 200, look=0.2)
    yield 1.0
    window.shot("doctor")
    if "Everything needed is here" not in session.doctor_text:
        raise AssertionError(session.doctor_text)


def ends(window: Window, capture: str) -> Steps:
    """Deleted cameras, undo and another file in mid-run: each ends cleanly."""
    session, worker = window.module("link.session"), window.module("link.worker")
    yield from import_quickly(window, capture)
    window.scene.skullptor.preset = "draft"
    path = window.out / "rig.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))

    yield from begin(window)
    yield from window.wait(lambda: session.job is None or session.job.fraction > 0.2, "a run", 300)
    for ob in cameras():
        bpy.data.objects.remove(ob)
    yield from window.wait(lambda: session.job is None, "a head without cameras", 600)
    succeed(session)
    log("cameras deleted: the head came all the same")
    bpy.ops.wm.open_mainfile(filepath=str(path))
    yield 1.0

    # an artist works on while it runs, and undoes that
    yield from begin(window)
    yield from window.wait(lambda: session.job is None or session.job.fraction > 0.5, "a run", 300)
    with window.override():
        bpy.ops.mesh.primitive_cube_add()
        bpy.ops.ed.undo_push(message="Cube")
        yield 0.3
        bpy.ops.ed.undo()
    yield from window.wait(lambda: session.job is None, "a head after an undo", 600)
    succeed(session)
    if len(heads()) != 1:
        raise AssertionError(f"{len(heads())} heads after an undo in mid-run")
    with window.override():
        bpy.ops.ed.undo()
    yield 0.3
    if heads():
        raise AssertionError("the undo in mid-run broke the head's own step")
    log("undo in mid-run: one head, one step")

    yield from begin(window)
    yield from window.wait(lambda: session.job is None or session.job.fraction > 0.1, "a third run", 300)
    pid = session.job.worker.pid
    began = time.monotonic()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    window.numbers["other file, s"] = round(time.monotonic() - began, 2)
    yield 0.5
    if Path(f"/proc/{pid}").exists() or worker._alive or session.running():
        raise AssertionError("the bridge outlived its file")
    with window.override():
        if window.area()[0].modal_operators:
            raise AssertionError("an operator is still running in the new file")
    log("another file in mid-run: nobody left")


def leave(window: Window, capture: str) -> Steps:
    """Blender is closed in mid-run; whether the bridge is gone is looked up from outside."""
    session = window.module("link.session")
    yield from import_quickly(window, capture)
    yield from begin(window)
    yield from window.wait(lambda: session.job is None or session.job.fraction > 0.1, "a run", 300)
    window.numbers["pid"] = session.job.worker.pid
    window.numbers["run"] = str(session.job.output.parent)


def first_hour(window: Window, capture: str, preset: str = "draft") -> Steps:
    """A new user in the factory scene, its cube left where it is: at most five clicks to a head that is seen."""
    session = window.module("link.session")
    window.scene.skullptor.preset = preset
    yield 0.5
    window.shot("1-factory")
    yield from import_by_hand(window, Path(capture))
    window.shot("2-imported")
    yield from window.find(BUTTON)
    yield from window.press(*window.found, BUTTON)
    if session.job is None:
        raise RuntimeError(session.outcome.text if session.outcome else "the button did not start a run")
    yield from window.wait(lambda: session.job is None or session.job.fraction >= 0.6, "a growing head", 600)
    yield 0.5
    window.shot("3-growing")
    yield from window.wait(lambda: session.job is None, "the head", 900, look=0.2)
    succeed(session)
    yield 1.5
    window.shot("4-done")
    (made,) = heads()
    if len(window.clicks) > 5:
        raise AssertionError(f"{len(window.clicks)} clicks: {window.clicks}")
    if bpy.context.view_layer.objects.active != made or not made.select_get():
        raise AssertionError("the head is not selected and active")
    made.hide_set(True)
    yield 1.0
    window.shot("4-done-without")
    made.hide_set(False)
    if made.data.validate():
        raise AssertionError("the head's mesh was not valid")
    for shading, seconds in (("SOLID", 2.5), ("MATERIAL", 12)):  # shaders are compiled
        window.area()[1].spaces.active.shading.type = shading
        for look in ("clay", "confidence", "normal_error", "photographs"):
            with window.override():
                bpy.ops.skullptor.show_confidence(show=look)
            yield seconds
            window.shot(f"6-{look}-{shading.lower()}")
    window.area()[1].spaces.active.shading.type = "SOLID"
    # a later run leaves the view where the artist has turned it
    region_3d = window.area()[1].spaces.active.region_3d
    region_3d.view_distance *= 1.3
    yield 0.5
    before = [*region_3d.view_location, *region_3d.view_rotation, region_3d.view_distance]
    yield from begin(window)
    yield from window.wait(lambda: session.job is None, "a second head", 900, look=0.2)
    succeed(session)
    yield 0.5
    if [*region_3d.view_location, *region_3d.view_rotation, region_3d.view_distance] != before:
        raise AssertionError("the second run has moved the view")
    window.shot("5-second")


def tour(window: Window, capture: str, other: str) -> Steps:
    """A picture of each point of the first hour, for eyes: made by script, looked at by people."""
    session, heat_map = window.module("link.session"), window.module("ui.heat_map")
    yield from window.open_tab()
    engine = os.environ.pop("SKULLPTOR_BRIDGE_PYTHON")
    os.environ["SKULLPTOR_BRIDGE_PYTHON"] = engine + "-nowhere"
    yield 3.0
    window.module("ui.redraw").panels(bpy.context)
    yield 1.0
    window.shot("02-set-up")
    os.environ["SKULLPTOR_BRIDGE_PYTHON"] = engine
    with window.override():
        bpy.ops.skullptor.import_capture(filepath=capture)
    window.scene.skullptor.preset = "draft"
    yield 3.0
    window.shot("01-imported")
    yield from begin(window)
    yield from window.wait(lambda: session.job is None or session.job.fraction > 0.5, "half of a run", 900)
    yield 0.5
    window.shot("02-running")
    yield from window.wait(lambda: session.job is None, "the head", 1200, look=0.2)
    succeed(session)
    yield 2.0
    window.shot("01-done")
    (made,) = heads()
    for look in (heat_map.CLAY, heat_map.CONFIDENCE, heat_map.NORMAL_ERROR, heat_map.PHOTOGRAPHS):
        with window.override():
            bpy.ops.skullptor.show_confidence(show=look)
        yield 1.5
        window.shot(f"07-{look}")
    # 8: a message with its action
    preflight, capture_module = window.module("link.preflight"), window.module("scene.capture")
    name = next(capture_module.cameras(window.scene.view_layers[0])).name
    sentence = f"Camera '{name}' does not fit the others: it is turned by about 4 degrees."
    session.outcome.remarks = [
        preflight.Finding("camera-disagrees", "WARNING", "", sentence, "Correct its rotation, or leave it out."),
        preflight.Finding("cameras-loose", "WARNING", "", "The cameras are a little off.", "Switch on Refine Cameras."),
    ]
    window.module("ui.redraw").panels(bpy.context)
    yield 1.5
    window.shot("08-message")
    bpy.context.window_manager.skullptor_details = True
    window.module("ui.redraw").panels(bpy.context)
    yield 1.5
    window.shot("08-details")
    bpy.context.window_manager.skullptor_details = False
    session.outcome.remarks = []
    # 6: from the front, the mirror plane is the green line
    with window.override():
        bpy.ops.view3d.view_axis(type="FRONT")
    yield 1.5
    window.shot("06-front")
    # 5: through a camera, its photograph over the head
    with window.override():
        bpy.ops.skullptor.select_camera(camera=name, look_through=True)
    window.scene.skullptor.photograph_blend = 0.5
    yield 2.0
    window.shot("05-through-a-camera")
    window.scene.skullptor.photograph_blend = 0.0
    with window.override():
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.context.view_layer.objects.active = made
        bpy.ops.skullptor.trim_at_neck()
    yield 1.5
    window.shot("09-trimmed")
    # 9: quads, made beside a Blender that stays usable
    watch = Watch(window)
    watch.clear()
    with window.override():
        bpy.ops.skullptor.sculpt_mesh("INVOKE_DEFAULT", faces="5000")
    yield from window.wait(lambda: session.job is None, "the quads", 600, look=0.2)
    succeed(session)
    window.numbers["while quads were made"] = watch.read()
    sculpt = bpy.context.view_layer.objects.active
    if sculpt.modifiers["Multires"].total_levels < 1 or sculpt == made:
        raise AssertionError("there are no quads with Multires")
    yield 2.0
    window.shot("09-sculpt")
    sculpt.modifiers["Multires"].levels = 0
    window.area()[1].spaces.active.overlay.show_wireframes = True
    yield 2.0
    window.shot("09-quads")
    window.area()[1].spaces.active.overlay.show_wireframes = False
    # 3: a second person in the same scene
    with window.override():
        bpy.ops.skullptor.import_capture(filepath=other)
    yield 2.0
    window.shot("03-two-rigs")


def template(window: Window, capture: str) -> Steps:
    """By mouse: a template on a head, its distance, a landmark dragged, wrapped again, textured."""
    session, ui = window.module("link.session"), window.module("ui.panels")
    open_from_the_start = {"SKULLPTOR_PT_reconstruct", "SKULLPTOR_PT_template"}
    for cls in reversed(ui.CLASSES):
        bpy.utils.unregister_class(cls)
    for cls in ui.CLASSES:
        cls.bl_options = set() if cls.__name__ in open_from_the_start else {"DEFAULT_CLOSED"}
        bpy.utils.register_class(cls)
    yield from import_quickly(window, capture)
    window.scene.skullptor.preset = "draft"
    window.scene.skullptor_texture.size = "1024"
    yield from window.open_tab()
    yield from begin(window)
    yield from window.wait(lambda: session.job is None, "the head", 1200, look=0.2)
    succeed(session)
    yield 1.5
    window.shot("21-head")

    def wrap() -> Steps:
        yield from window.click("skullptor.wrap_template")
        if session.job is None:
            raise RuntimeError(session.outcome.text if session.outcome else "the button did not start a wrap")
        yield from window.wait(lambda: session.job is None, "the template", 1200, look=0.2)
        succeed(session)
        yield 1.5

    yield from wrap()
    window.shot("21-wrapped")
    made = bpy.context.view_layer.objects.active
    if "skullptor_template" not in made or len(made.data.shape_keys.key_blocks) != 53:
        raise AssertionError(f"{made.name} is no wrapped template with 52 shapes")
    yield from window.click("skullptor.show_distance")
    yield 1.0
    window.shot("21-distance")
    yield from window.click("skullptor.edit_landmarks")
    yield 1.0
    points = bpy.context.view_layer.objects.active
    window.shot("21-landmarks")
    with window.override():
        bpy.ops.object.mode_set(mode="OBJECT")
        numbers = [value.value for value in points.data.attributes["landmark"].data]
        points.data.vertices[numbers.index(61)].select = True  # a corner of the mouth
        bpy.ops.object.mode_set(mode="EDIT")
    yield from window.hover(*window.screen(*by_view(window, 0.3, 0.5)))
    for key in ("g", "z"):
        yield from window.key(key)
    yield from window.type("0.004")
    yield from window.key("Return")
    yield 0.5
    window.shot("21-dragged")
    yield from window.key("Tab")
    yield from wrap()
    window.shot("21-wrapped-again")
    again = bpy.context.view_layer.objects.active
    if again == made or not made.hide_get():
        raise AssertionError("the second wrap did not take the first one's place")
    with window.override():
        bpy.ops.skullptor.texture_head("INVOKE_DEFAULT")
    yield from window.wait(lambda: session.job is None, "the texture", 1200, look=0.2)
    succeed(session)
    yield 2.0
    window.shot("16-textured")
    mine = mesh_of_the_artists_own(again)
    window.scene.skullptor_wrap.template, window.scene.skullptor_wrap.mesh = "mesh", mine
    yield 1.0
    yield from window.click("skullptor.set_template_landmarks")
    yield 1.0
    window.shot("21-own-landmarks")
    with window.override():
        for name, number in (("Nose Tip", 1), ("Chin", 152)):
            if not any(child["skullptor_pick"] == number for child in mine.children):
                raise AssertionError(f"no empty for {name}")
        for child in list(mine.children):  # as a rendering of it finds them
            bpy.data.objects.remove(child)
        bpy.context.view_layer.objects.active = again
    yield from wrap()
    window.shot("21-own")
    own = bpy.context.view_layer.objects.active
    if own["skullptor_template"] != mine.name or "skullptor_template_landmarks" not in mine:
        raise AssertionError(f"{own.name} is not wrapped from {mine.name}")


def mesh_of_the_artists_own(wrapped: bpy.types.Object) -> bpy.types.Object:
    """A copy beside it that nothing of ours knows: quads, UVs and materials."""
    mine = wrapped.copy()
    mine.data = wrapped.data.copy()
    mine.shape_key_clear()
    mine.name = "Mine"
    for key in list(mine.keys()):
        del mine[key]
    for key in [key for key in mine.data.keys() if key.startswith("skullptor")]:  # noqa: SIM118
        del mine.data[key]
    mine.location.x += 0.35
    bpy.context.scene.collection.objects.link(mine)
    bpy.context.view_layer.update()
    return mine


def panels(window: Window, capture: str) -> Steps:
    """Every panel of the sidebar open, at its usual width: is anything cut off?"""
    session, ui = window.module("link.session"), window.module("ui.panels")
    for cls in reversed(ui.CLASSES):
        bpy.utils.unregister_class(cls)
    for cls in ui.CLASSES:
        cls.bl_options = set()
        bpy.utils.register_class(cls)
    with window.override():
        bpy.ops.skullptor.import_capture(filepath=capture)
    window.scene.skullptor.preset = "draft"
    yield from window.open_tab()
    yield from begin(window)
    yield from window.wait(lambda: session.job is None, "the head", 1200, look=0.2)
    succeed(session)
    with window.override():
        bpy.ops.skullptor.check_cameras(photographs=False)
        bpy.ops.skullptor.show_confidence(show="confidence")  # its legend makes the first panel higher
    yield 5.0
    window.shot("settled")
    for _ in range(3):
        window.module("ui.redraw").panels(bpy.context)
        yield 1.0
    window.shot("redrawn")
    for number in range(1, 5):
        window.shot(f"panels-{number}")
        yield from wheel(window, "5", 14)


def wheel(window: Window, button: str, clicks: int) -> Steps:
    """Scroll the sidebar; "4": up, "5": down."""
    view, _, region = window.area(region="UI")
    yield from window.hover(*window.screen(view, region.x + region.width * 0.4, region.y + region.height * 0.5))
    for _ in range(clicks):
        window._x("click", button)
        yield 0.1
    yield 1.0


def two_rigs(window: Window, one: str, other: str) -> Steps:
    """Two people in one scene: the list tells them apart, and nothing of the first is used for the second."""
    for capture in (one, other):
        with window.override():
            bpy.ops.skullptor.import_capture(filepath=capture)
        yield 0.5
    yield from window.open_tab()
    rigs, capture = window.module("scene.rigs"), window.module("scene.capture")
    with window.override():
        first = next(capture.cameras(window.scene.view_layers[0]))
        bpy.ops.skullptor.select_camera(camera=first.name, look_through=True)
    window.scene.skullptor.photograph_blend = 0.5
    yield 2.0
    window.shot("two-rigs")
    found = rigs.rigs(window.scene)
    used = [ob.name for ob in capture.cameras(window.scene.view_layers[0])]
    if len(found) != 2 or len(used) * 2 != len([ob for ob in cameras() if ob.parent]):
        raise AssertionError(f"{[rig.name for rig in found]} with {used}")


def saving(window: Window, capture: str) -> Steps:
    """An unsaved scene's photographs lie in the cache; its first save takes them out, and the cache may be emptied."""
    cache = Path(os.environ["SKULLPTOR_RUNS"], "captures", "anna")
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(capture, cache)
    yield from import_quickly(window, str(cache))
    yield from window.open_tab()
    yield 2.5
    window.shot("11-unsaved")
    path = window.out / "project" / "anna.blend"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    yield from window.click("wm.save_mainfile", columns=(0.75,))
    yield from window.wait(lambda: len(bpy.context.window_manager.windows) > 1 or has_browser(), "the file browser", 20)
    yield 1.0
    window.bring_into_view()
    yield 0.5
    window.shot("11-save")
    yield from window.hover(300, 300)
    yield from window.key("Escape")
    yield 0.5
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    yield 0.5
    window.shot("11-saved")
    shutil.rmtree(cache)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    yield 1.0
    first = min(cameras(), key=lambda ob: ob.name)
    with window.override():
        bpy.ops.skullptor.select_camera(camera=first.name, look_through=True)
    yield 2.0
    window.shot("11-reopened")
    image = first.data.background_images[0].image
    if not image.has_data and not image.pixels or path.parent not in Path(bpy.path.abspath(image.filepath)).parents:
        raise AssertionError(f"the photograph of {first.name} is not beside the file: {image.filepath}")


def stroke(window: Window, capture: str) -> Steps:
    """A mirrored stroke with a sculpting brush over one cheek of a new head: it meets the other cheek as well."""
    session = window.module("link.session")
    with window.override():
        bpy.ops.skullptor.import_capture(filepath=capture)
    window.scene.skullptor.preset = "draft"
    yield from begin(window)
    yield from window.wait(lambda: session.job is None, "the head", 1200, look=0.2)
    succeed(session)
    yield 1.0
    (made,) = heads()
    mesh = made.data
    with window.override():
        bpy.ops.object.mode_set(mode="SCULPT")
        mesh.use_mirror_x = True
        if window.scene.tool_settings.sculpt.brush is None:
            window.numbers["stroke"] = None  # Debian's Blender 4.3 comes without its brushes
            return
        bpy.ops.view3d.view_axis(type="FRONT")
    yield 1.5
    view, area, region = window.area()
    before = positions(mesh)
    # a cheek: beside the nose's height, on the front of the face
    height = np.ptp(before[:, 2])
    nose = before[(np.abs(before[:, 0]) < 0.01) & (before[:, 2] > before[:, 2].max() - 0.6 * height)]
    nose = nose[nose[:, 1].argmin()]
    places = []
    for beside in np.linspace(0.035, 0.05, 4):
        at = location_3d_to_region_2d(region, area.spaces.active.region_3d, Vector((beside, nose[1], nose[2])))
        places.append(window.screen(view, region.x + at.x, region.y + at.y))
    yield from window.drag(places)
    yield 1.0
    window.shot("12-stroke")
    with window.override():
        bpy.ops.object.mode_set(mode="OBJECT")
    moved = np.linalg.norm(positions(mesh) - before, axis=1)
    sides = [(before[:, 0] * sign > 0) & (moved > 1e-5) for sign in (1, -1)]
    if not all(side.sum() > 20 for side in sides):
        raise AssertionError(f"the stroke moved {[int(side.sum()) for side in sides]} vertices left and right")
    centres = [np.average(before[side], axis=0, weights=moved[side]) for side in sides]
    apart = 1000 * (centres[0] - centres[1] * [-1, 1, 1])
    window.numbers["stroke"] = {
        "vertices left and right": [int(side.sum()) for side in sides],
        "apart from its mirror image, mm": [round(float(x), 2) for x in apart],
        "height, mm": [round(1000 * float(moved[side].max()), 2) for side in sides],
    }
    if np.linalg.norm(apart) > 2.0:
        raise AssertionError(f"left and right are {apart} mm apart")


def positions(mesh: bpy.types.Mesh) -> np.ndarray:
    found = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", found)
    return found.reshape(-1, 3)


def walk(window: Window, capture: str) -> Steps:
    """A new user by mouse, all the way: the demo, a head, a template, its texture, a sculpt mesh, and back by undo."""
    session, ui = window.module("link.session"), window.module("ui.panels")
    for cls in reversed(ui.CLASSES):
        bpy.utils.unregister_class(cls)
    for cls in ui.CLASSES:
        opened = {"SKULLPTOR_PT_reconstruct", "SKULLPTOR_PT_result", "SKULLPTOR_PT_template", "SKULLPTOR_PT_texture"}
        cls.bl_options = set() if cls.__name__ in opened else {"DEFAULT_CLOSED"}
        bpy.utils.register_class(cls)
    window.scene.skullptor.preset = "draft"
    window.scene.skullptor_texture.size = "1024"
    yield from window.open_tab()
    yield 0.7
    window.shot("walk-1-empty")

    def click_and_wait(operator: str, what: str) -> Steps:
        session.outcome = None
        yield from window.click(operator)
        yield from window.wait(lambda: session.job is None and session.outcome is not None, what, 1200, look=0.2)
        succeed(session)
        yield 2.5
        window.shot(f"walk-{what.replace(' ', '-')}")

    yield from click_and_wait("skullptor.import_demo", "2 the demo")
    yield from click_and_wait(BUTTON, "3 the head")
    (made,) = heads()
    if Path(os.environ["SKULLPTOR_CACHE"], "models").is_dir():
        yield from click_and_wait("skullptor.wrap_template", "4 the template")
        yield from wheel(window, "5", 14)
        yield from click_and_wait("skullptor.texture_head", "5 the texture")
        yield from wheel(window, "4", 30)
        yield from window.click("skullptor.show_head")
        yield 1.5
        window.shot("walk-6-back-to-the-head")
        if not made.visible_get() or bpy.context.view_layer.objects.active != made:
            raise AssertionError("Show did not bring the head back")
    yield from click_and_wait("skullptor.sculpt_mesh", "7 the sculpt mesh")
    sculpt = bpy.context.view_layer.objects.active.name
    yield from window.hover(*window.screen(*by_view(window, 0.3, 0.4)))
    yield from window.key("ctrl+z")
    yield 1.5
    window.shot("walk-8-undone")
    if sculpt in bpy.data.objects or not heads()[0].visible_get():
        raise AssertionError(f"undo left {sorted(ob.name for ob in bpy.data.objects)}")

"""The panel as it would be drawn: what it says in each state."""

from __future__ import annotations

import os
import re

import bpy
import pytest
from skullptor_extension.bridge.service import protocol
from skullptor_extension.skullptor_blender.link import environment, session, worker
from skullptor_extension.skullptor_blender.link import job as jobs
from skullptor_extension.skullptor_blender.link.preflight import ERROR, WARNING, Finding
from skullptor_extension.skullptor_blender.scene import capture as scene_capture
from skullptor_extension.skullptor_blender.ui import camera_rows, disk_cache, panels, preferences, properties, remedies
from skullptor_extension.skullptor_blender.ui.panels import reconstruct, sidebar

from .helpers import texts


@pytest.fixture(autouse=True)
def no_memory():
    disk_cache.forget()


def operators(log):
    return [args[0] for call, args, _ in log if call == "operator"]


def test_an_empty_scene_says_what_is_needed(draw):
    log = draw(panels.SKULLPTOR_PT_reconstruct)
    said = " ".join(texts(log))
    assert "0 cameras ready" in said
    assert "One photograph of a face is enough" in said
    assert ("set", ("enabled", False), {}) in log
    assert operators(log)[:2] == ["skullptor.photo_to_head", "skullptor.add_photographs"]


def test_a_rig_is_ready(draw, rig):
    log = draw(panels.SKULLPTOR_PT_reconstruct)
    assert "4 cameras ready" in texts(log)
    assert ("set", ("enabled", True), {}) in log
    listed = texts(draw(panels.SKULLPTOR_PT_cameras))
    for ob in rig:
        assert ob.name in listed
        assert f"{ob.name}.png" in listed


def test_problems_stand_beside_their_camera(draw, rig, capture):
    (capture / "images" / "cam01.png").unlink()
    rig[2].data.background_images.clear()
    rig[3].scale.x = -1
    bpy.context.view_layer.update()
    bpy.ops.skullptor.check_cameras()
    rows = {row.camera: (row.problem, row.severity) for row in camera_rows.rows(bpy.context)}
    assert rows["cam00"] == ("", "")
    assert rows["cam01"] == ("image is missing", "ERROR")
    assert rows["cam02"][0] == "no image"
    assert "mirrored" in rows["cam03"][0]
    log = draw(panels.SKULLPTOR_PT_reconstruct)
    assert "1 camera ready" in texts(log)
    assert "2 cameras with a problem" in texts(log)
    assert "cam01: image is missing" in texts(log)
    assert any(text.startswith("cam03: has mirrored axes") and text.endswith("…") for text in texts(log))
    draw(panels.SKULLPTOR_PT_cameras)


def test_many_problems_are_not_all_named(draw, rig, capture):
    for number in range(4):
        (capture / "images" / f"cam0{number}.png").unlink()
    for number in range(4, 7):
        copy = rig[0].copy()
        copy.name = f"cam0{number}"
        rig[0].users_collection[0].objects.link(copy)
    bpy.context.view_layer.update()
    said = texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert "7 cameras with a problem" in said
    assert sum(text.endswith("image is missing") for text in said) == reconstruct.PROBLEMS
    assert "... and 3 more: see Cameras" in said


def test_without_an_engine_the_first_row_sets_it_up_and_the_error_goes_with_it(draw, rig, monkeypatch, tmp_path):
    engine = os.environ[worker.PYTHON_VARIABLE]
    monkeypatch.setenv(worker.PYTHON_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(RuntimeError):
        bpy.ops.skullptor.reconstruct_head()
    bpy.context.window_manager.skullptor_details = True
    log = draw(panels.SKULLPTOR_PT_reconstruct)
    bpy.context.window_manager.skullptor_details = False
    assert texts(log)[0].startswith("One-time set-up, ")
    assert texts(log)[0].endswith(" GB")
    assert operators(log)[0] == "skullptor.set_up"
    if not bpy.app.online_access:
        assert [args[1] for call, args, _ in log if call == "prop"][0] == "use_online_access"
    assert "there is no such file" in " ".join(texts(log))
    monkeypatch.setenv(worker.PYTHON_VARIABLE, engine)
    disk_cache.forget()
    log = draw(panels.SKULLPTOR_PT_reconstruct)
    assert "skullptor.set_up" not in operators(log)
    assert "there is no such file" not in " ".join(texts(log))


def test_no_text_has_a_second_word_for_the_engine():
    """Everything that an artist reads: names, tooltips, errors."""
    shown = []
    for name in dir(bpy.ops.skullptor):
        rna = getattr(bpy.ops.skullptor, name).get_rna_type()
        shown += [rna.name, rna.description]
        shown += [text for p in rna.properties for text in (p.name, p.description)]
    for group in (properties.SKULLPTOR_PG_settings, properties.SKULLPTOR_PG_view, preferences.SKULLPTOR_AP_preferences):
        kinds = group.__annotations__.values()
        shown += [kind.keywords.get(key, "") for kind in kinds for key in ("name", "description")]
    shown += [worker.SET_UP_CURE, environment.PYTHON_CURE]
    assert len(shown) > 150
    for text in shown:
        assert not re.search(r"\b(bridge|solver|make setup|Base Python)\b", text, re.IGNORECASE), text


def test_many_words_stand_behind_details(draw, rig):
    warnings = [f"Photograph {i} has no lens data, so its field of view is guessed from its size." for i in range(17)]
    session.outcome = session.Outcome(True, "5 cameras imported", warnings=warnings)
    closed = texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert sum(text.startswith("Photograph ") for text in closed) == 1
    assert "Details (17)" in closed
    bpy.context.window_manager.skullptor_details = True
    opened = " ".join(texts(draw(panels.SKULLPTOR_PT_reconstruct)))
    bpy.context.window_manager.skullptor_details = False
    assert all(warning in opened for warning in warnings)


def test_what_was_said_about_cameras_expires_when_they_change(draw, rig):
    rig[3].scale.x = -1
    bpy.context.view_layer.update()
    bpy.ops.skullptor.check_cameras(photographs=False)
    assert any("mirrored" in text for text in texts(draw(panels.SKULLPTOR_PT_cameras)))
    rig[3].scale.x = 1
    bpy.context.view_layer.update()
    assert not any("mirrored" in text for text in texts(draw(panels.SKULLPTOR_PT_cameras)))


def test_one_click_goes_on_with_the_other_cameras(draw, rig, capture):
    (capture / "images" / "cam01.png").unlink()
    log = draw(panels.SKULLPTOR_PT_reconstruct)
    assert "Use the Other 3" in texts(log)
    assert bpy.ops.skullptor.leave_out(cameras="cam01") == {"FINISHED"}
    disk_cache.forget()
    said = texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert "3 cameras ready" in said
    assert not any("problem" in text for text in said)
    assert bpy.ops.skullptor.reconstruct_head() == {"FINISHED"}


def test_settings_are_drawn(draw, rig):
    settings = bpy.context.scene.skullptor
    settings.normals = "measured"
    settings.use_max_vertices = settings.use_steps = settings.use_smoothness = True
    log = draw(panels.SKULLPTOR_PT_quality)
    shown = {args[1] for call, args, _ in log if call == "prop"}
    assert shown >= {"normals", "max_vertices", "steps", "smoothness", "device", "seed", "normals_folder"}
    assert all(name in settings.bl_rna.properties for name in shown)


def test_progress_takes_the_place_of_the_button(draw, rig):
    class Worker:
        greeted = True

    session.job = jobs.Job("a", None, None, protocol.JobSettings(), Worker())
    session.job.fraction, session.job.stage, session.job.eta_s = 0.35, "Carving the head", 42.0
    log = draw(panels.SKULLPTOR_PT_reconstruct)
    (progress,) = [keywords for call, _, keywords in log if call == "progress"]
    assert progress["factor"] == 0.35
    assert progress["text"] == "35%"
    assert "Carving the head" in texts(log)
    assert any(text.endswith("about 42 s left") for text in texts(log))
    assert operators(log) == ["skullptor.finish_now", "skullptor.cancel"]
    session.job.settings = protocol.JobSettings(stage="normals")  # half of a prediction is worth nothing
    assert operators(draw(panels.SKULLPTOR_PT_reconstruct)) == ["skullptor.cancel"]
    session.job = None


def test_results_and_errors_are_told(draw, rig):
    bpy.ops.skullptor.reconstruct_head()
    log = draw(panels.SKULLPTOR_PT_reconstruct)
    assert any("vertices" in text for text in texts(log))
    assert any("dummy made it" in text for text in texts(log))
    assert panels.SKULLPTOR_PT_result.poll(bpy.context)
    assert "Report" in texts(draw(panels.SKULLPTOR_PT_result))
    session.outcome = session.Outcome(False, "Camera 'x' is mirrored.", "Clear its scale.", code="camera-mirrored")
    said = texts(draw(panels.SKULLPTOR_PT_reconstruct))
    assert "Camera 'x' is mirrored." in said
    assert "Details" in said
    bpy.context.window_manager.skullptor_details = True
    said = texts(draw(panels.SKULLPTOR_PT_reconstruct))
    bpy.context.window_manager.skullptor_details = False
    assert "Clear its scale." in said
    session.outcome.code = ""


def test_a_message_is_one_line_with_one_action_and_expires_with_its_cameras(draw, rig):
    def offered():
        log = draw(panels.SKULLPTOR_PT_reconstruct)
        return [keywords["text"] for call, _, keywords in log if call == "operator" and "text" in keywords], texts(log)

    cameras = "Camera 'cam02' does not fit the others: it is turned."
    session.outcome = session.Outcome(
        True,
        "1,000 vertices in 3 s",
        remarks=[
            Finding("photo-blurred", WARNING, "", "'cam01' is blurred.", "Take it again."),
            Finding("camera-disagrees", ERROR, "", cameras, "Correct its rotation."),
        ],
        about=scene_capture.signature(bpy.context.view_layer),
    )
    buttons, said = offered()
    assert "Leave Out cam02" in buttons and "Leave Out cam01" not in buttons  # the gravest first
    assert sum("does not fit" in text for text in said) == 1 and "Details (2)" in said
    assert "Correct its rotation." not in said
    assert bpy.ops.skullptor.leave_out(cameras="cam02") == {"FINISHED"}
    buttons, said = offered()
    assert not any("does not fit" in text for text in said)
    assert "1,000 vertices in 3 s" in said  # the head is still there
    assert bpy.context.scene.objects["cam02"].data.skullptor.use is False


@pytest.mark.parametrize(
    ("code", "cameras", "text", "operator"),
    [
        ("cameras-loose", [], "Refine Cameras", "skullptor.refine_cameras"),
        ("too-few-views", [], "Choose Photographs", "skullptor.add_photographs"),
        ("photo-disagrees", ["a", "b"], "Leave Out 2 Cameras", "skullptor.leave_out"),
    ],
)
def test_what_one_click_can_do_about_a_finding(code, cameras, text, operator):
    found = remedies.remedy(code, cameras)
    assert (found.text, found.operator) == (text, operator)
    assert getattr(bpy.ops.skullptor, operator.partition(".")[2]).get_rna_type()
    assert remedies.remedy("scale") is None


def test_refine_cameras_runs_again_with_it(rig):
    bpy.context.scene.skullptor.refine_cameras = False
    assert bpy.ops.skullptor.refine_cameras() == {"FINISHED"}
    assert '"refine_cameras": true' in bpy.data.objects["Head"]["skullptor_settings"]


def test_presets_show_their_own_numbers(draw, rig):
    settings = bpy.context.scene.skullptor
    settings.preset = "fine"
    assert {"500,000", "300", "0.2"} <= set(texts(draw(panels.SKULLPTOR_PT_quality)))
    settings.preset, settings.normals = "draft", "measured"
    assert {"25,000", "200", "0.05"} <= set(texts(draw(panels.SKULLPTOR_PT_quality)))


def test_the_size_is_a_field_beside_the_rig(draw, rig):
    shown = [args[1] for call, args, _ in draw(panels.SKULLPTOR_PT_size) if call == "prop"]
    assert shown == ["head_height", "eye_distance"]


def test_every_label_and_tooltip_follows_the_guidelines():
    """Title Case labels, tooltips without a final stop."""
    settings = properties.SKULLPTOR_PG_settings.bl_rna.properties
    found = [p for p in settings if p.identifier not in ("rna_type", "name")]
    names = [name for name in dir(bpy.ops.skullptor) if not name.startswith("_")]
    operators_found = [getattr(bpy.ops.skullptor, name).get_rna_type() for name in names]
    assert len(operators_found) >= 7
    for item in [*found, *operators_found]:
        assert item.description, item.identifier
        assert not item.description.endswith("."), item.identifier
        assert item.name[0].isupper(), item.identifier


def test_a_long_sentence_is_wrapped_and_loses_no_word():
    class Layout:
        def __init__(self):
            self.lines = []

        def label(self, text, icon):
            self.lines.append(text)

    layout = Layout()
    sentence = "Camera 'cam07' looks away from the point that the others look at; it is left out of this run."
    sidebar.wrapped(layout, sentence)
    assert " ".join(layout.lines) == sentence
    assert all(len(line) <= sidebar.WRAP for line in layout.lines)

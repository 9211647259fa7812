"""The add-on registered in the bpy module, an empty file for each test, a small rig with photographs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bpy
import pytest
import skullptor_extension
from skullptor_extension.skullptor_blender.link import session, worker
from skullptor_extension.skullptor_blender.scene import cameras as scene_cameras

from .helpers import counts, photo, write_capture

os.environ[worker.PYTHON_VARIABLE] = sys.executable  # the dummy needs the standard library only


@pytest.fixture(scope="session", autouse=True)
def registered():
    skullptor_extension.register()
    yield
    skullptor_extension.unregister()


@pytest.fixture(autouse=True)
def fresh(registered, monkeypatch, tmp_path):
    """An empty file, a quick dummy bridge, a folder for runs; afterwards nobody is left."""
    monkeypatch.setenv(worker.COMMAND_VARIABLE, "dummy --seconds 0.1")
    monkeypatch.setenv("SKULLPTOR_RUNS", str(tmp_path / "runs"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    session.reset()
    yield
    worker.stop_all()
    assert not worker._alive


@pytest.fixture
def capture(tmp_path) -> Path:
    return write_capture(tmp_path / "rig")


@pytest.fixture
def rig(capture):
    """Four cameras with their photographs in the scene."""
    return scene_cameras.build(bpy.context, capture)


@pytest.fixture
def unchanged():
    """Datablocks after the test are those of when it was asked for; call it to mark the start."""
    marks = []

    def mark():
        marks.append((counts(), bpy.context.view_layer.objects.active, [o.name for o in bpy.context.selected_objects]))

    yield mark
    for mark_counts, active, selected in marks:
        assert counts() == mark_counts
        assert bpy.context.view_layer.objects.active == active
        assert [o.name for o in bpy.context.selected_objects] == selected


class _Properties:
    """Of an operator's button: what is set on it is logged as well."""

    def __init__(self, log):
        self.__dict__["log"] = log

    def __setattr__(self, name, value):
        self.log.append(("property", (name, value), {}))


class FakeLayout:
    """Records what a draw() asks for; sub-layouts share one log."""

    NEST = frozenset({"row", "column", "box", "split", "grid_flow", "column_flow"})

    def __init__(self, log=None, path=""):
        self.__dict__.update(log=[] if log is None else log, path=path)

    def __getattr__(self, name):
        if name in self.NEST:
            return lambda *a, **k: FakeLayout(self.log, f"{self.path}/{name}")

        def call(*a, **k):
            self.log.append((name, a, k))
            return _Properties(self.log)

        return call

    def __setattr__(self, key, value):
        self.log.append(("set", (key, value), {}))


@pytest.fixture
def draw():
    """draw(panel class) -> [(call, args, kwargs), ...], checked against the real layout's functions."""
    known = set(bpy.types.UILayout.bl_rna.functions.keys()) | {
        "set",
        "property",
        "label",
        "operator",
        "prop",
        "progress",
    }

    def run(panel):
        fake = type("Fake", (), {"layout": FakeLayout()})()
        for name in dir(panel):
            if name.startswith("draw_"):
                setattr(fake, name, getattr(panel, name).__get__(fake))
        panel.draw(fake, bpy.context)
        for call, _args, keywords in fake.layout.log:
            assert call in known, call
            icon = keywords.get("icon", "NONE")
            assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items, icon
        return fake.layout.log

    return run


@pytest.fixture
def moving(tmp_path, capture) -> list[bpy.types.Object]:
    """Image sequences of four frames as references; one camera moves, and at frame 3 another has lost its picture."""
    cameras = scene_cameras.build(bpy.context, capture)
    for number in (1, 2, 3, 4):
        for index, ob in enumerate(cameras):
            if (number, index) != (3, 2):
                photo(tmp_path / "plates" / f"{ob.name}_{number:04d}.png", 64, 48, value=20 * number)
    for ob in cameras:
        background = ob.data.background_images[0]
        image = bpy.data.images.load(str(tmp_path / "plates" / f"{ob.name}_0001.png"))
        image.source = "SEQUENCE"
        background.image = image
        background.image_user.frame_start, background.image_user.frame_duration = 1, 4
    cameras[0].keyframe_insert("location", frame=1)
    cameras[0].location.z += 0.2
    cameras[0].keyframe_insert("location", frame=4)
    return cameras

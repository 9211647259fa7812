"""Set Up, Install From Folder, Cancel and Remove as the preferences call them; the work is in plain/test_setup."""

from __future__ import annotations

import sys
import time

import bpy
import pytest
from skullptor_extension.skullptor_blender.link import environment, session, setup, worker
from skullptor_extension.skullptor_blender.operators import setup as operators_setup
from skullptor_extension.skullptor_blender.ui import preferences

from tests.support.wheels import addon_root, wheel

from .helpers import texts


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The add-on and the user's folder stand-ins; wheels in a folder."""
    home = tmp_path / "Zoë's Ordner ü" / "4.5" / "extensions" / ".user" / "user_default" / "skullptor_blender"
    monkeypatch.setattr(preferences, "ROOT", addon_root(tmp_path / "add-on"))
    monkeypatch.setattr(preferences, "user_folder", lambda: home)
    monkeypatch.setattr(environment, "extra_for_machine", lambda: "bridge")
    monkeypatch.delenv(worker.PYTHON_VARIABLE)
    session.set_up, session.doctor_text = None, ""
    wheel(tmp_path / "wheels", "skpone", "1.5")
    wheel(tmp_path / "wheels", "skptwo", needs=("skpthree",))
    wheel(tmp_path / "wheels", "skpthree", "3.1")
    yield home
    setup.stop_all()
    session.set_up, session.doctor_text = None, ""


def drawn():
    """What the preferences show; they are not enabled here, so their own functions are called."""
    from .conftest import FakeLayout

    fake = type("Fake", (), {"layout": FakeLayout(), "show_advanced": True})()
    for name in ("draw", "draw_bridge", "draw_set_up"):
        setattr(fake, name, getattr(preferences.SKULLPTOR_AP_preferences, name).__get__(fake))
    fake.draw(bpy.context)
    return fake.layout.log


def buttons(log):
    return [args[0] for call, args, _ in log if call == "operator"]


def test_from_a_folder_to_a_bridge_and_back(place, tmp_path, capsys):
    assert not bpy.ops.skullptor.remove_set_up.poll()
    assert "The engine is not set up" in " ".join(texts(drawn()))
    folder = tmp_path / "wheels"
    assert bpy.ops.skullptor.set_up_from_folder(directory=str(folder), base_python=sys.executable) == {"FINISHED"}
    assert "Installing skpone (1 of 3)" in capsys.readouterr().out
    assert "Everything needed is here." in session.doctor_text
    python = worker.environment_python(place / "environment")
    assert preferences.interpreter(bpy.context) == python
    said = texts(drawn())
    assert f"Engine: {python}" in said
    assert "Open Set-Up Log" in said

    # another Blender version of the same user finds it, and may not remove it
    other = place.parents[4] / "5.0" / place.relative_to(place.parents[3])
    mine, preferences.user_folder = preferences.user_folder, lambda: other
    assert preferences.interpreter(bpy.context) == python
    assert not bpy.ops.skullptor.remove_set_up.poll()
    preferences.user_folder = mine

    # another version of the add-on names other packages
    (preferences.ROOT / "pyproject.toml").write_text('[project.optional-dependencies]\nbridge = ["skpone"]')
    assert any("engine has a new version" in text for text in texts(drawn()))

    assert bpy.ops.skullptor.remove_set_up() == {"FINISHED"}
    assert sorted(path.name for path in place.iterdir()) == ["set-up.lock", "set-up.log"]
    with pytest.raises(worker.WorkerError, match="Set Up"):
        preferences.interpreter(bpy.context)


def test_without_online_access_the_switch_is_named():
    assert not bpy.app.online_access
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.skullptor.set_up()
    with pytest.raises(RuntimeError, match="is no folder"):
        bpy.ops.skullptor.set_up_from_folder(directory="/no/where")


def test_a_failure_is_one_sentence_and_stays_in_the_preferences(tmp_path):
    with pytest.raises(RuntimeError, match="cannot be started.*Python for Set Up"):
        bpy.ops.skullptor.set_up_from_folder(directory=str(tmp_path / "wheels"), base_python=str(tmp_path / "no"))
    said = " ".join(texts(drawn()))
    assert "cannot be started" in said
    assert "python.org" in said
    assert "skullptor.set_up" in buttons(drawn())


def test_the_window_does_not_wait_and_cancel_is_quick(place, tmp_path, monkeypatch):
    """The operator's own functions, driven as the window would."""
    cls = operators_setup.SKULLPTOR_OT_set_up_from_folder
    reports = []

    class Modal:
        packages, base_python, wheels = "auto", sys.executable, str(tmp_path / "wheels")
        timer = seen = None
        properties = type("P", (), {"is_property_set": lambda self, name: False})()

        def report(self, kind, text):
            reports.append(text)

    modal = Modal()
    for name in ("begin", "plan", "modal", "cancel", "end"):
        setattr(modal, name, getattr(cls, name).__get__(modal))
    timer = type("Event", (), {"type": "TIMER"})()
    modal.job = modal.begin(bpy.context)
    assert not bpy.ops.skullptor.set_up_from_folder.poll()
    assert not bpy.ops.skullptor.remove_set_up.poll()
    end, longest = time.monotonic() + 60, 0.0
    while "Making" not in modal.job.stage:
        assert time.monotonic() < end
        before = time.monotonic()
        assert modal.modal(bpy.context, timer) == {"PASS_THROUGH"}
        longest = max(longest, time.monotonic() - before)
        time.sleep(0.01)
    log = drawn()
    assert buttons(log)[0] == "skullptor.cancel_set_up"
    assert [keywords["text"] for call, _, keywords in log if call == "progress"][0].startswith(
        "Making a place for the engine"
    )
    time.sleep(0.3)
    began = time.monotonic()
    assert bpy.ops.skullptor.cancel_set_up() == {"FINISHED"}
    while (state := modal.modal(bpy.context, timer)) == {"PASS_THROUGH"}:
        time.sleep(0.01)
    assert time.monotonic() - began < 1.0
    assert longest < 0.1
    assert state == {"CANCELLED"}
    assert "goes on" in reports[0]
    with pytest.raises(worker.WorkerError):
        preferences.interpreter(bpy.context)
    assert bpy.ops.skullptor.remove_set_up.poll()

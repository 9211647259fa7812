"""Few photographs in a run: faces are looked for once, and what the cameras' check says waits for the face."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from bridge.check.findings import WARNING, Finding
from bridge.head.landmarks import COUNT, Face
from bridge.job import preflight, prior, refine_cameras
from bridge.job.cache import Cache
from bridge.job.runner import JobRunner
from bridge.job.stages import CHECK, READ, READ_NORMALS, REFINE
from bridge.refine.adjust import perturbed
from bridge.service.protocol import Error, JobSettings, Run, Warning
from bridge.service.wire import Control
from tests.support import synthetic

FACE = Face(np.random.default_rng(0).uniform(10, 50, (COUNT, 3)), 1.0, np.ones(COUNT))
SAID = Finding("pose", WARNING, ("one",), "The camera is off.", "Calibrate it.")


def test_faces_are_looked_for_once(monkeypatch):
    looked: list[int] = []

    def look(job, tools):
        looked.append(len(job.inputs.capture.views))
        return [FACE, None, FACE]

    monkeypatch.setattr(prior, "_look", look)
    views = [SimpleNamespace(name=name) for name in ("a", "b", "c")]
    job = SimpleNamespace(faces={}, inputs=SimpleNamespace(capture=SimpleNamespace(views=views)))
    assert prior.faces_of(job, None) == [FACE, None, FACE]
    job.inputs.capture.views = views[1:]  # one was left out since
    assert prior.faces_of(job, None) == [None, FACE]
    assert looked == [3]


@pytest.mark.parametrize("moved", [True, False])
def test_what_is_said_of_cameras_is_withdrawn_where_the_face_corrects_them(tmp_path, monkeypatch, moved):
    """Said once where they stay; not at all where they were put right."""
    synthetic.write(tmp_path, views=3, size=64)
    asked: list[int] = []

    def inspect(cameras, *others, **named):
        asked.append(1)
        return SimpleNamespace(findings=[SAID] if len(asked) == 1 else [], epipolar_error=0.0)

    def turned(cameras, faces, check):
        return [perturbed(camera, np.full(3, 0.01), np.zeros(3)) for camera in cameras]

    monkeypatch.setattr(preflight, "inspect", inspect)
    monkeypatch.setattr(refine_cameras, "faces_of", lambda job, tools: [FACE] * 3)
    monkeypatch.setattr(refine_cameras, "know_head", lambda job, tools, faces: None)
    monkeypatch.setattr(refine_cameras, "triangulate", lambda cameras, faces: SimpleNamespace(points=np.zeros((5, 3))))
    monkeypatch.setattr(refine_cameras.poses, "contradict", lambda cameras, faces: moved)
    monkeypatch.setattr(refine_cameras.poses, "by_landmarks", turned)
    said: list = []
    run = Run("few", str(tmp_path), str(tmp_path / "out"), JobSettings(preset="draft", normals="measured"))
    JobRunner(Cache(tmp_path / "cache"), [READ, READ_NORMALS, CHECK, REFINE]).run(run, said.append, Control())
    assert not [message for message in said if isinstance(message, Error)]
    assert [m.code for m in said if isinstance(m, Warning)].count(SAID.code) == (0 if moved else 1)
    assert len(asked) == (2 if moved else 1)

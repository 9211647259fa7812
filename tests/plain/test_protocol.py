"""The wire's messages: every one survives the trip, everything else is refused by name."""

from __future__ import annotations

import json

import pytest

from bridge.service import protocol as p

MESSAGES = [
    p.Hello(),
    p.Run("j1", "/tmp/über uns/capture", "/tmp/out", p.JobSettings(preset="draft", steps=7, smoothness=0.2)),
    p.Finish("j1"),
    p.Cancel("j1"),
    p.Shutdown(),
    p.Status("j1", "Reading photos"),
    p.Progress("j1", "Carving the head", 3, 200, 0.4, 12.5),
    p.Progress("j1", "Carving the head", 3, 200, 0.4, None),
    p.Preview("j1", "preview0.npz"),
    p.Warning("j1", "scale", "Too big.", "Check it."),
    p.Error("j1", "mask-empty", "Black.", "Paint."),
    p.Result("j1", "head.npz", "report.json"),
    p.Done("j1", True),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_round_trip(message):
    line = p.encode(message)
    assert line.endswith("\n") and "\n" not in line[:-1]
    assert p.decode(line) == message


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("hello\n", "not JSON"),
        ("[1, 2]", "no message"),
        ('{"type": "explode"}', "no message"),
        ('{"type": "finish"}', "lacks the field 'id'"),
        ('{"type": "finish", "id": 3}', "Finish.id must be str"),
        ('{"type": "finish", "id": "a", "now": true}', "unknown field 'now'"),
        ('{"type": "hello", "protocol": true, "version": "1"}', "Hello.protocol must be int"),
        ('{"type": "run", "id": "a", "capture": "c", "output": "o", "settings": {"preset": "huge"}}', "huge"),
        ('{"type": "run", "id": "a", "capture": "c", "output": "o", "settings": {"steps": 0}}', "steps"),
        ('{"type": "run", "id": "a", "capture": "c", "output": "o", "settings": {"speed": 1}}', "speed"),
        ('{"type": "run", "id": "a", "capture": "c", "output": "o", "settings": {"stage": "tea"}}', "mesh, normals"),
    ],
)
def test_refusals_name_the_culprit(line, says):
    with pytest.raises(p.ProtocolError, match=says):
        p.decode(line)


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError):
        p.encode(p.Progress("j", "s", 1, 2, float("nan")))


def test_a_message_of_protocol_1_stays_readable():
    """The bytes of a version that is out there. Change the message: raise PROTOCOL and add, never edit."""
    line = '{"type": "progress", "id": "a", "stage": "s", "done": 1, "total": 2, "fraction": 0.5, "eta_s": null}'
    assert p.PROTOCOL == 1
    assert p.decode(line) == p.Progress("a", "s", 1, 2, 0.5, None)
    assert set(json.loads(p.encode(p.Run("a", "b", "c")))["settings"]) == {
        "preset", "normals", "device", "raster", "steps", "max_vertices", "smoothness", "min_edge_mm", "seed",
        "stage", "match", "refine_cameras", "texture", "wrap",
    }  # fmt: skip


def test_another_protocol_is_named_with_both_numbers():
    with pytest.raises(p.ProtocolError, match=r"protocol 99 .* speaks 1"):
        p.check_hello(p.Hello(protocol=99), "bridge")
    with pytest.raises(p.ProtocolError, match="hello first"):
        p.check_hello(p.Done("x", True), "add-on")

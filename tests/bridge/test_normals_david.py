"""DAViD's interface with a stand-in ONNX model of the same signature: it answers 2 * BGR - 1, the foreground R."""

from __future__ import annotations

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from bridge.capture.cameras import Camera  # noqa: E402
from bridge.normals import make_predictor  # noqa: E402
from bridge.normals.david import FOREGROUND_FILE, NORMAL_FILE, RECORD  # noqa: E402


def stand_in(path, channels: int) -> None:
    from onnx import TensorProto, helper, numpy_helper

    shape = [1, 3, 512, 512]
    scale = numpy_helper.from_array(np.float32(2 if channels == 3 else 1), "scale")
    shift = numpy_helper.from_array(np.float32(-1 if channels == 3 else 0), "shift")
    starts, ends = (numpy_helper.from_array(np.array([v], np.int64), n) for v, n in ((3 - channels, "from"), (3, "to")))
    axis = numpy_helper.from_array(np.array([1], np.int64), "axis")
    nodes = [
        helper.make_node("Mul", ["input", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
        helper.make_node("Slice", ["shifted", "from", "to", "axis"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, channels, 512, 512])],
        [scale, shift, starts, ends, axis],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.save(model, str(path))


def camera(width: int, height: int, yaw: float = 0.0) -> Camera:
    """Looks at the origin, from 3 units away."""
    K = np.array([[900.0, 0, width / 2], [0, 900, height / 2], [0, 0, 1]])
    R = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    return Camera("a", K, R, np.array([0, 0, 3.0]), width, height)


def picture(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose BGR encodes a smooth field of unit normals."""
    u, v = np.meshgrid(np.linspace(-0.6, 0.6, width), np.linspace(-0.6, 0.6, height))
    normals = np.stack([u, -v, np.sqrt(1 - u**2 - v**2)], -1)  # left leans left, above leans up
    return (0.5 + 0.5 * normals)[..., ::-1].astype(np.float32).copy(), normals.astype(np.float32)


def test_channel_order_padding_and_size(tmp_path):
    stand_in(tmp_path / NORMAL_FILE, 3)
    stand_in(tmp_path / FOREGROUND_FILE, 1)
    predictor = make_predictor("david", "cpu", tmp_path)
    assert predictor.provider == "CPUExecutionProvider"
    done = []
    sizes = [(640, 400), (300, 500)]
    images, truths = zip(*(picture(*s) for s in sizes), strict=True)
    maps = predictor.predict(
        images,
        [camera(*s) for s in sizes],
        [None, np.ones((500, 300), np.float32)],
        size=320,
        progress=lambda a, b: done.append((a, b)),
    )
    assert done == [(1, 2), (2, 2)]
    for found, truth, (w, h) in zip(maps, truths, sizes, strict=True):
        assert (found.camera.width, found.camera.height) == ((320, 200) if w > h else (192, 320))
        assert found.camera.K[0, 0] == pytest.approx(900 * 320 / max(w, h))
        rows = (np.arange(found.camera.height) * h // found.camera.height) + h // found.camera.height // 2
        columns = (np.arange(found.camera.width) * w // found.camera.width) + w // found.camera.width // 2
        angle = np.degrees(np.arccos(np.clip((found.normals * truth[rows][:, columns]).sum(-1), -1, 1)))
        assert np.median(angle[found.matte > 0]) < 0.5
        assert found.confidence is None
    assert (maps[1].matte > 0.9999).all()


def test_the_network_takes_the_mattes_of_the_foreground_model(tmp_path, monkeypatch):
    """The user's mask first, then the foreground model where it was fetched (it answers the red channel), then its
    own."""
    monkeypatch.setenv("SKULLPTOR_WEIGHTS", str(tmp_path))
    alone = make_predictor("network", "cpu")
    (tmp_path / "david").mkdir()
    stand_in(tmp_path / "david" / FOREGROUND_FILE, 1)
    both = make_predictor("network", "cpu")
    assert both.name != alone.name  # cached maps of the one are not the other's
    cameras = [camera(200, 150), camera(150, 200, 0.5), camera(200, 150, 1.0)]
    images, discs = [], []
    for c in cameras:
        y, x = np.mgrid[: c.height, : c.width] + 0.5
        disc = np.hypot(x - c.width / 2, y - c.height / 2) < 40
        image = np.full((c.height, c.width, 3), 0.2, np.float32)
        image[..., 0] = np.where(disc, 1.0, 0.0)  # RGB: a model that were fed BGR the wrong way round would miss it
        images.append(image)
        discs.append(disc)
    mine = [discs[0].astype(np.float32), np.roll(discs[1], 9, 1).astype(np.float32), None]
    done = []
    maps = both.predict(images, cameras, mine, size=200, progress=lambda a, b: done.append((a, b)))
    np.testing.assert_array_equal(maps[1].matte > 0.5, mine[1] > 0.5)
    found = maps[2].matte > 0.5
    assert (found & discs[2]).sum() > 0.97 * (found | discs[2]).sum()
    assert done[-1][0] == done[-1][1]
    record = {"files": {"foreground": {"file": FOREGROUND_FILE, "sha256": "0" * 64}}}
    (tmp_path / "david" / RECORD).write_text(json.dumps(record))
    with pytest.raises(ValueError, match="checksum"):
        make_predictor("network", "cpu")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=NORMAL_FILE):
        make_predictor("david", "cpu", tmp_path)
    stand_in(tmp_path / NORMAL_FILE, 3)
    with pytest.raises(ValueError, match=FOREGROUND_FILE):
        make_predictor("david", "cpu", tmp_path).predict([picture(64, 64)[0]], [camera(64, 64)], [None])


def test_unknown_names_and_devices_are_refused(tmp_path):
    with pytest.raises(ValueError, match="network or david"):
        make_predictor("marigold", "cpu")
    stand_in(tmp_path / NORMAL_FILE, 3)
    with pytest.raises(ValueError, match="abacus"):
        make_predictor("david", "abacus", tmp_path)

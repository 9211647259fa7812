"""A device that was asked for and is not there: an error, never a quiet fall back to the CPU."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("numba")

from bridge.errors import BridgeError  # noqa: E402
from bridge.job import read  # noqa: E402
from bridge.normals import sessions  # noqa: E402
from bridge.service.protocol import JobSettings  # noqa: E402


@pytest.fixture
def model(tmp_path):
    """The identity as ONNX."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, tmp_path / "identity.onnx")
    return tmp_path / "identity.onnx"


@pytest.fixture
def gpu_build(monkeypatch):
    """onnxruntime-gpu on a machine without a card: the provider is on the list, and a session runs on the CPU."""
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )


def test_onnx_runtime_that_falls_back_to_the_cpu_is_an_error_for_the_device_that_was_asked_for(model, gpu_build):
    with pytest.raises(ValueError, match="cannot use the device 'cuda' that was asked for"):
        sessions.session(model, "cuda")


def test_auto_takes_what_there_is(model, gpu_build):
    made = sessions.session(model, "auto")
    assert made.get_providers() == ["CPUExecutionProvider"]
    np.testing.assert_array_equal(made.run(None, {"x": np.ones(1, np.float32)})[0], [1])


def test_a_run_with_a_device_that_is_not_there_ends_before_any_work(monkeypatch):
    monkeypatch.setattr(
        read, "available", lambda: {"cpu": "", "cuda": "the NVIDIA driver sees no GPU", "nvdiffrast": ""}
    )
    with pytest.raises(BridgeError) as raised:
        read.rasteriser(JobSettings(device="cuda"))
    assert raised.value.code == "device" and "the NVIDIA driver sees no GPU" in raised.value.sentence
    assert read.rasteriser(JobSettings(device="cuda", raster="cpu")) == "cpu"
    assert read.rasteriser(JobSettings(device="cpu")) == "cpu"

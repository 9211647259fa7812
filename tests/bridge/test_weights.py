"""Fetching weights on request: from a folder, from a web server that breaks off, and what is refused."""

from __future__ import annotations

import http.server
import json
import threading

import numpy as np
import pytest

from bridge.capture.cameras import Camera
from bridge.capture.normal_map import NormalMap
from bridge.errors import BridgeError
from bridge.normals import fetch as weights
from bridge.normals.david import RECORD, axis_signs
from bridge.normals.sessions import checked, sha256, weights_folder

SET = weights.WeightSet("toy", "", {"normals": "a.onnx", "foreground": "b.onnx"}, "MIT", "Two toys")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for seed, name in enumerate(SET.files.values()):
        (folder / name).write_bytes(np.random.default_rng(seed).bytes(300_000))
    return folder


@pytest.fixture
def server(source):
    """Serves ranges; the first answer for every file ends in the middle. Yields its address and what was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            file = source / self.path.lstrip("/")
            if not file.is_file():
                self.send_error(404)
                return
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            broken = not any(name == file.name for name, _ in asked)
            asked.append((file.name, start))
            body = file.read_bytes()[start:]
            self.send_response(206)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if broken else body)

        def log_message(self, *args):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", asked
    running.shutdown()
    running.server_close()


def test_a_broken_download_goes_on_where_it_stopped(tmp_path, source, server):
    address, asked = server
    folder, steps = tmp_path / "here", []
    for _ in range(2):  # one break a file
        with pytest.raises(BridgeError, match="again to go on"):
            weights.fetch(SET, folder, address, {})
    record = weights.fetch(SET, folder, address, {}, lambda name, done, total: steps.append((name, done, total)))
    assert asked == [("a.onnx", 0), ("a.onnx", 150_000), ("b.onnx", 0), ("b.onnx", 150_000)]
    assert steps[-1] == ("b.onnx", 300_000, 300_000)
    for name in SET.files.values():
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    assert checked(folder, record.name)["licence"] == "MIT"
    assert not list(folder.glob("*.part")) and not list(folder.glob("*.tmp"))


def test_checksums_of_the_first_fetch_are_kept(tmp_path, source):
    folder = tmp_path / "here"
    weights.fetch(SET, folder, str(source), {})
    (source / "b.onnx").write_bytes(b"another file")
    weights.fetch(SET, folder, str(source), {})  # nothing to do: all is here and whole
    (folder / "b.onnx").write_bytes(b"damaged")
    assert "checksum" in weights.state(folder, "toy.json")
    with pytest.raises(BridgeError, match=r"b\.onnx has the checksum") as caught:
        weights.fetch(SET, folder, str(source), {})
    assert caught.value.code == "weights-wrong" and not (folder / "b.onnx").exists()


def test_a_demanded_checksum_is_demanded(tmp_path, source):
    with pytest.raises(BridgeError, match=r"a\.onnx"):
        weights.fetch(SET, tmp_path / "here", str(source), {"a.onnx": "0" * 64})
    record = weights.fetch(SET, tmp_path / "here", str(source), {"a.onnx": sha256(source / "a.onnx")})
    assert json.loads(record.read_text())["files"]["normals"]["bytes"] == 300_000


def test_nothing_is_fetched_without_a_yes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SKULLPTOR_WEIGHTS", str(tmp_path))
    assert weights_folder("david") == tmp_path / "david"
    assert weights.main(["david", "--from", str(tmp_path)]) == 1
    assert "MIT" in (said := capsys.readouterr()).out and "Nothing was fetched" in said.err
    assert weights.main(["david", "--from", str(tmp_path / "nowhere"), "--yes"]) == 1
    assert "could not be fetched" in capsys.readouterr().err
    assert weights.main([]) == 0
    listed = capsys.readouterr().out
    assert "network: 3 files" in listed and f"{RECORD} is missing" in listed


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1), (-1, -1, -1)])
def test_axes_are_recognised_by_the_outline(signs):
    size = 96
    u, v = (g - size / 2 + 0.5 for g in np.meshgrid(np.arange(size), np.arange(size)))
    x, y = u / 36, -v / 40
    inside = x**2 + y**2 < 0.99
    normals = np.stack([x, y, np.sqrt(np.maximum(1 - x**2 - y**2, 0))], -1) * inside[..., None]
    K = np.array([[100.0, 0, 48], [0, 100, 48], [0, 0, 1]])
    camera = Camera("a", K, np.eye(3), np.zeros(3), size, size)
    found = NormalMap(camera, (normals * signs).astype(np.float32), inside.astype(np.float32), None)
    assert tuple(axis_signs([found])) == signs

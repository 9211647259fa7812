"""What the add-on reads of meshes in threads: previews, shaded, and results with their edges. No Blender."""

from __future__ import annotations

import time

import numpy as np
import pytest
from skullptor_extension.skullptor_blender.link import preview_reader, result_file

TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)


def test_edges_of_a_tetrahedron():
    edges, corner_edges = result_file.edges_of(TETRAHEDRON)
    assert sorted(map(tuple, edges)) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    for corner, edge in enumerate(corner_edges):
        face, i = TETRAHEDRON[corner // 3], corner % 3
        assert set(edges[edge]) == {face[i], face[(i + 1) % 3]}


def test_a_result_is_checked(tmp_path):
    path = tmp_path / "head.npz"
    np.savez(path, vertices=CORNERS, faces=TETRAHEDRON)
    assert len(result_file.load(path)["edges"]) == 6
    for broken in (
        {"vertices": CORNERS},
        {"vertices": CORNERS, "faces": TETRAHEDRON[:0]},
        {"vertices": CORNERS[:3], "faces": TETRAHEDRON},
        {"vertices": np.where(CORNERS == 1, np.nan, 0), "faces": TETRAHEDRON},
    ):
        np.savez(path, **broken)
        with pytest.raises(ValueError, match="mesh|vertices"):
            result_file.load(path)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(ValueError, match="not whole"):
        result_file.load(path)


def test_shading_tells_up_from_down():
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, -1]], np.float32)
    colours = preview_reader.shade(square, np.array([[0, 1, 2], [0, 2, 3]]))
    assert colours.shape == (4, 4)
    assert np.isfinite(colours).all()
    up = preview_reader.shade(square, np.array([[0, 1, 2]]))[0, :3].sum()
    down = preview_reader.shade(square, np.array([[0, 2, 1]]))[0, :3].sum()
    assert up > down


def test_the_reader_gives_each_preview_once_and_passes_over_broken_ones(tmp_path):
    good, half = tmp_path / "preview0.npz", tmp_path / "preview1.npz"
    np.savez(good, vertices=CORNERS.astype(np.float32), faces=TETRAHEDRON)
    half.write_bytes(good.read_bytes()[:200])
    reader = preview_reader.Reader()
    assert reader.take() is None
    reader.ask(str(half))
    reader.ask(str(tmp_path / "gone.npz"))
    reader.ask(str(good))
    end = time.monotonic() + 20
    while (found := reader.take()) is None:
        assert time.monotonic() < end
        time.sleep(0.005)
    assert found.faces.shape == (4, 3)
    assert found.colours.dtype == np.float32
    assert reader.take() is None

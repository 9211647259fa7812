"""Vertex colours: each point of the body gets the colour painted there, also where photographs are blind."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from bridge.capture.framing import HeadFrame  # noqa: E402
from bridge.mesh import Mesh  # noqa: E402
from bridge.raster import make_rasteriser  # noqa: E402
from bridge.texture import vertex_colors as texture  # noqa: E402
from tests.support import synthetic  # noqa: E402

CENTER, SCALE = np.array([50.0, -20.0, 10.0]), 3.0


def paint(points):
    """A smooth colour for every point of the body: no two mirror images are alike."""
    p = (points - CENTER) / SCALE
    return np.clip(0.5 + 0.35 * p / synthetic.AXES, 0, 1)


def shoot(cameras):
    """Photographs of the painted body before a green screen, and their masks."""
    photos, masks = [], []
    for camera in cameras:
        _, depth = synthetic.trace(camera, CENTER, SCALE)
        y, x = np.mgrid[: camera.height, : camera.width] + 0.5
        rays = camera.rays(np.stack([x.ravel(), y.ravel()], 1))
        along = depth.ravel() / (rays @ camera.forward)
        colours = paint(camera.center + along[:, None] * rays)
        hit = depth.ravel() > 0
        photo = np.where(hit[:, None], colours, [0, 1, 0]).reshape(camera.height, camera.width, 3)
        photos.append(photo.astype(np.float32))
        masks.append(hit.reshape(camera.height, camera.width).astype(np.float32)[::2, ::2])  # of another size
    return photos, masks


@pytest.fixture(scope="module")
def body():
    return Mesh(*synthetic.ellipsoid_mesh(CENTER, SCALE, rings=48))


FRAME = HeadFrame(CENTER, SCALE, np.array([0.0, 0, 1]))


def test_every_vertex_takes_its_own_colour(body):
    cameras = synthetic.ring(8, CENTER, SCALE, 160)
    photos, masks = shoot(cameras)
    found = texture.blend(body, photos, cameras, masks, FRAME) / 255
    error = np.abs(found - paint(body.vertices)).max(1)
    seen = np.abs(body.vertices[:, 2] - CENTER[2]) < 0.8 * SCALE * synthetic.AXES[2]  # no camera looks at the poles
    assert np.median(error[seen]) < 0.01 and error[seen].max() < 0.06
    # unseen poles are filled from around them, and the green screen reaches nobody
    assert error.max() < 0.3
    assert not ((found[:, 1] > 0.9) & (found[:, 0] < 0.1)).any()


def test_what_is_hidden_is_not_painted_through(body):
    """Two bodies behind each other: the far one must not show the near one's colour on the side that is covered."""
    camera = synthetic.look_at("c", CENTER, CENTER + [12.0, 0, 0], 200, 6.0)
    near = Mesh(body.vertices * 0.4 + 0.6 * (CENTER + [8.0, 0, 0]), body.faces)
    faces = np.concatenate([body.faces, near.faces + len(body.vertices)])
    both = Mesh(np.concatenate([body.vertices, near.vertices]), faces)
    covers = make_rasteriser("cpu", [camera]).render(near.vertices, near.faces).triangle[0] >= 0
    photo = np.where(covers[..., None], [1, 0, 0], [1, 1, 1]).astype(np.float32)
    colours = texture.blend(both, [photo], [camera], [np.ones((200, 200), np.float32)], FRAME)
    behind = np.linalg.norm(body.vertices[:, 1:] - CENTER[1:], axis=1) < 0.1 * SCALE
    front = body.vertices[:, 0] > CENTER[0]
    assert (colours[len(body.vertices) :][near.vertices[:, 0] > near.vertices[:, 0].mean()][:, 1] < 80).mean() > 0.8
    # covered vertices are filled by spreading, never sampled: the nearest seen rim around the shadow is white
    assert (colours[: len(body.vertices)][behind & front][:, 1] > 200).mean() > 0.8

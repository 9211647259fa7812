"""The multi-view network: PyTorch, its ONNX export, and the predictor with the weights that ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bridge.capture import framing
from bridge.capture import record as captures
from bridge.capture.cameras import Camera
from bridge.capture.images import downscaled, read_photo
from bridge.errors import Cancelled
from bridge.normals import WEIGHTS, make_predictor, multiview

DEMO = Path(__file__).parents[2] / "demo" / "capture"


def rig(count: int, width: int = 200, height: int = 160) -> list[Camera]:
    """Cameras on an arc around the origin, 4 units away."""
    cameras = []
    for i in range(count):
        angle = (i - count / 2) * 0.4
        position = 4 * np.array([np.sin(angle), 0.1, np.cos(angle)])
        forward = -position / np.linalg.norm(position)
        right = np.cross(forward, [0, 1.0, 0])
        right /= np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        K = np.array([[260.0, 0, width / 2], [0, 260, height / 2], [0, 0, 1]])
        cameras.append(Camera(f"cam{i}", K, R, -R @ position, width, height))
    return cameras


def ball(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """A softly lit ball of radius 0.7 at the origin: image [h, w, 3] and mask [h, w]."""
    u, v = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    rays = camera.rays(np.stack([u.ravel(), v.ravel()], 1))
    b = rays @ camera.center
    root = b**2 - camera.center @ camera.center + 0.49
    hit = root > 0
    normals = (camera.center + rays * (-b - np.sqrt(np.maximum(root, 0)))[:, None]) / 0.7
    shade = (0.35 + 0.3 * normals[:, 1] + 0.2 * normals[:, 0])[:, None] * np.array([1, 0.8, 0.7])
    image = np.where(hit[:, None], shade, 0.9).reshape(camera.height, camera.width, 3)
    return image.clip(0, 1).astype(np.float32), hit.reshape(camera.height, camera.width).astype(np.float32)


@pytest.fixture(scope="module")
def predictor():
    return make_predictor("network", "cpu")


@pytest.fixture(scope="module")
def scene():
    cameras = rig(4)
    images, masks = zip(*(ball(c) for c in cameras), strict=True)
    return list(images), cameras, list(masks)


def test_maps_belong_to_their_cameras(predictor, scene):
    images, cameras, masks = scene
    done = []
    maps = predictor.predict(images, cameras, masks, size=128, progress=lambda a, b: done.append((a, b)))
    assert predictor.provider == "CPUExecutionProvider" and "skullptor" in predictor.name
    assert done[-1][0] == done[-1][1] and [d for d, _ in done] == sorted(d for d, _ in done)
    for found, camera, mask in zip(maps, cameras, masks, strict=True):
        assert found.camera.name == camera.name
        assert (found.camera.width, found.camera.height) == (128, 102)
        assert found.camera.K[0, 0] == pytest.approx(260 * 128 / 200)
        seen = found.matte > 0
        assert np.allclose(np.linalg.norm(found.normals[seen], axis=-1), 1, atol=1e-4)
        assert (found.normals[~seen] == 0).all()
        assert abs(found.matte.mean() - mask.mean()) < 0.01  # the given mask, not the predicted one
        assert found.confidence.min() >= 0 and found.confidence.max() <= 1
        assert found.canonical.shape == found.normals.shape


def test_a_mask_reaches_beyond_what_the_network_looked_at(predictor, scene):
    """A shoulder far out in one view: the silhouette keeps it, without a normal."""
    images, cameras, masks = scene
    masks = [mask.copy() for mask in masks]
    masks[0][:6, :12] = 1
    found = predictor.predict(images, cameras, masks, size=128)[0]
    corner = np.s_[:3, :6]
    assert (found.matte[corner] > 0.9).all()
    assert (found.normals[corner] == 0).all() and (found.confidence[corner] == 0).all()


def test_a_lit_ball_bulges_towards_every_camera(predictor, scene):
    """Not a head, but round: left of the middle the normals lean left, above it they lean up."""
    images, cameras, masks = scene
    for found in predictor.predict(images, cameras, masks, size=128):
        rows, columns = np.nonzero(found.matte > 0.5)
        x, y = columns - columns.mean(), rows.mean() - rows
        normals = found.normals[rows, columns]
        assert np.corrcoef(x, normals[:, 0])[0, 1] > 0.7
        assert np.corrcoef(y, normals[:, 1])[0, 1] > 0.7
        assert normals[:, 2].mean() > 0.5


def test_the_other_views_matter(predictor, scene):
    images, cameras, masks = scene
    together = predictor.predict(images, cameras, masks, size=96)[0].normals
    two = predictor.predict(images[:2], cameras[:2], masks[:2], size=96)[0].normals
    assert np.abs(together - two).max() > 1e-4


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 12])
def test_any_number_of_views(predictor, count):
    cameras = rig(count)
    images = [ball(c)[0] for c in cameras]
    maps = predictor.predict(images, cameras, [None] * count, size=64)
    assert len(maps) == count
    assert all(np.isfinite(m.normals).all() and m.matte.min() >= 0 and m.matte.max() <= 1 for m in maps)


@pytest.fixture(scope="module")
def demo(predictor):
    """Photographs of a head, cameras and masks."""
    views = captures.load(DEMO).views[::2][:5]
    photos = [downscaled(read_photo(view), 512) for view in views]
    images, cameras = [photo.pixels for photo in photos], [photo.camera for photo in photos]
    return images, cameras, [found.matte for found in predictor.predict(images, cameras, [None] * len(images))]


def test_the_order_of_the_views_does_not_matter(predictor, demo):
    order = [2, 0, 4, 3, 1]
    maps = predictor.predict(*demo, size=96)
    again = predictor.predict(*[[part[i] for i in order] for part in demo], size=96)
    for i, found in zip(order, again, strict=True):
        assert np.abs(found.normals - maps[i].normals).max() < 2e-3


@pytest.mark.parametrize("axis", [[0, 2.0, 0], [np.pi / 2, 0, 0], [0.7, 1.1, -2.0]])
def test_a_turned_world_changes_nothing_much(predictor, demo, axis):
    """Only relative poses matter, also where +Z is up, as in Blender: the network was trained with +Y up alone. (Of a
    head: what is none has no up to be found.)"""
    images, cameras, masks = demo
    turn = Rotation.from_rotvec(axis).as_matrix()
    maps = predictor.predict(images, cameras, masks, size=96)
    elsewhere = [k.transformed(3.0, turn, np.array([5.0, -2, 1])) for k in cameras]
    turned = predictor.predict(images, elsewhere, masks, size=96)
    angles = []
    for a, b in zip(maps, turned, strict=True):
        assert np.abs(a.matte - b.matte).max() < 1e-3
        angles.append(np.degrees(np.arccos(np.clip((a.normals * b.normals).sum(-1)[a.matte > 0.5], -1, 1))))
    assert np.concatenate(angles).mean() < 8


@pytest.mark.parametrize("axis", [[np.pi, 0, 0], [0.5, 0, 0]])
def test_a_head_that_hangs_or_leans_is_seen_upright(predictor, demo, monkeypatch, axis):
    """Pictures on their head, or a wrong guess of what is up: the canonical head corrects it."""
    maps = predictor.predict(*demo, size=96)
    up = Rotation.from_rotvec(axis).apply(framing.rig_up(demo[1]))
    monkeypatch.setattr(multiview, "rig_up", lambda cameras: up)
    monkeypatch.setattr(framing, "rig_up", lambda cameras: multiview.UP)
    again = predictor.predict(*demo, size=96)
    angles = [
        np.degrees(np.arccos(np.clip((a.normals * b.normals).sum(-1)[a.matte > 0.5], -1, 1))).mean()
        for a, b in zip(maps, again, strict=True)
    ]
    assert np.mean(angles) < 5  # 9 and more without


def test_asking_to_end_ends(predictor, scene):
    with pytest.raises(Cancelled):
        predictor.predict(*scene, cancelled=lambda: True)


def test_no_views_and_unequal_lists(predictor, scene):
    assert predictor.predict([], [], []) == []
    with pytest.raises(ValueError, match="belong together"):
        predictor.predict(scene[0], scene[1][:2], scene[2])


def test_missing_or_changed_weights_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"skullptor_small\.json is missing"):
        make_predictor("network", "cpu", tmp_path)
    shutil.copytree(WEIGHTS, tmp_path / "w")
    record = json.loads((tmp_path / "w/skullptor_small.json").read_text())
    file = tmp_path / "w" / record["files"]["decoder"]["file"]
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match="checksum"):
        make_predictor("network", "cpu", tmp_path / "w")
    file.unlink()
    with pytest.raises(ValueError, match=r"decoder\.onnx is missing"):
        make_predictor("network", "cpu", tmp_path / "w")


def test_the_weights_are_small():
    assert sum(p.stat().st_size for p in WEIGHTS.glob("skullptor_small*")) < 20e6


def test_onnx_agrees_with_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from bridge.normals.multiview import MultiViewPredictor
    from bridge.normals.network import CONFIGS, NormalNetwork
    from bridge.normals.warp import head_view, quaternion, to_head
    from bridge.training.export import export

    torch.manual_seed(3)
    network = NormalNetwork(CONFIGS["tiny"]).eval()
    with torch.no_grad():  # let attention across views and every bias count
        for name, p in network.named_parameters():
            if "across.out" in name or name.endswith("bias"):
                p.normal_(0, 0.2)
        for p in network.parameters():
            p.copy_(p.half().float())  # the stored precision, so that only the graphs are compared
    export(network, tmp_path, "tiny", 96, {})
    predictor = MultiViewPredictor(tmp_path, "cpu", "tiny.json")
    cameras = rig(5)
    images = [ball(c)[0] for c in cameras]
    from bridge.capture.framing import head_frame
    from bridge.normals.multiview import _ProgressCounter

    views = [head_view(c, head_frame(cameras)) for c in cameras]
    outputs = predictor.run(images, views, 96, _ProgressCounter(lambda a, b: None, lambda: False))
    x = torch.from_numpy(np.stack([to_head(i, v, 96) for i, v in zip(images, views, strict=True)])).permute(0, 3, 1, 2)
    x = x - torch.tensor([0.5, 0.5, 0.5, 0]).view(1, 4, 1, 1)
    q = torch.from_numpy(np.stack([quaternion(v.head.R) for v in views]))
    d = torch.tensor([v.distance for v in views], dtype=torch.float32)
    with torch.no_grad():
        truth = network(x, q, d, 5).numpy()
    for i, output in enumerate(outputs):
        cosine = (output["normal"].transpose(2, 0, 1) * truth[i, :3]).sum(0).clip(-1, 1)
        assert np.degrees(np.arccos(cosine)).max() < 0.5
        assert np.abs(output["matte"] - 1 / (1 + np.exp(-truth[i, 3]))).max() < 1e-3
        assert np.abs(output["canonical"].transpose(2, 0, 1) - truth[i, 4:7]).max() < 1e-3


def test_views_of_two_heads_do_not_mix():
    torch = pytest.importorskip("torch")
    from bridge.normals.network import CONFIGS, NormalNetwork

    torch.manual_seed(0)
    network = NormalNetwork(CONFIGS["tiny"]).eval()
    torch.nn.init.normal_(network.trunk.blocks[0].across.out.weight, std=0.3)
    image = torch.rand(6, 4, 32, 32)
    q = torch.nn.functional.normalize(torch.randn(6, 4), dim=1)
    d = torch.full((6,), 3.0)
    with torch.no_grad():
        both = network(image, q, d, 3)
        first = network(image[:3], q[:3], d[:3], 3)
        assert torch.allclose(both[:3], first, atol=1e-5)
        assert torch.allclose(network(image, -q, d, 3), both, atol=1e-5)  # q and -q are one rotation
        assert not torch.allclose(network(image[:3], q[:3], d[:3], 1), first, atol=1e-4)


def test_blending_takes_broad_shapes_from_the_coarse_run_and_detail_from_the_fine():
    from bridge.normals.multiview import blended

    def field(size: int, tilt: float, ripple: float) -> dict[str, np.ndarray]:
        u = (np.arange(size) + 0.5) / size
        x = np.broadcast_to(tilt + ripple * np.sin(2 * np.pi * 24 * u), (size, size))
        normal = np.stack([x, 0 * x, np.sqrt(1 - x**2)], -1).astype(np.float32)
        return {"normal": normal, "matte": np.ones((size, size))}

    fine, coarse = field(160, 0.1, 0.2), field(96, 0.3, 0.0)
    x = blended(fine, coarse)["normal"][40:-40, 40:-40, 0]
    assert x.mean() == pytest.approx(0.3, abs=0.02)  # the coarse tilt
    assert x.std() == pytest.approx(0.2 / np.sqrt(2), rel=0.15)  # the fine ripple
    again = blended(fine, fine)
    assert np.allclose(again["normal"], fine["normal"], atol=1e-5) and again["matte"] is fine["matte"]

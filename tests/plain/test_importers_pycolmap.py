"""COLMAP's own library as the judge: its projections against ours, its files against our readers, ours against its."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")
pycolmap = pytest.importorskip("pycolmap")

from bridge import importers  # noqa: E402
from bridge.capture.cameras import Distortion  # noqa: E402
from bridge.capture.record import Capture, View  # noqa: E402
from bridge.importers import export  # noqa: E402
from tests.support import cameras  # noqa: E402

# parameters behind the focal lengths and the principal point
MODELS = {
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": (0.08,),
    "RADIAL": (0.08, -0.03),
    "OPENCV": (0.08, -0.03, 0.004, -0.006),
    "FULL_OPENCV": (0.08, -0.03, 0.004, -0.006, 0.02, 0.01, 0.03, -0.02),
    "SIMPLE_FISHEYE": (),
    "FISHEYE": (),
    "SIMPLE_RADIAL_FISHEYE": (0.03,),
    "RADIAL_FISHEYE": (0.03, -0.01),
    "OPENCV_FISHEYE": (0.03, -0.01, 0.004, -0.001),
    "SIMPLE_DIVISION": (-0.08,),
    "DIVISION": (-0.08,),
}
SHARED_FOCAL = {
    "SIMPLE_PINHOLE",
    "SIMPLE_RADIAL",
    "RADIAL",
    "SIMPLE_FISHEYE",
    "SIMPLE_RADIAL_FISHEYE",
    "RADIAL_FISHEYE",
}


def reconstruction(rig, model):
    result = pycolmap.Reconstruction()
    for index, ours in enumerate(rig, 1):
        f, cx, cy = ours.K[0, 0], ours.K[0, 2], ours.K[1, 2]
        focal = [f] if model in SHARED_FOCAL | {"SIMPLE_DIVISION"} else [f, f]
        params = [*focal, cx, cy, *MODELS[model]]
        camera = pycolmap.Camera(model=model, width=ours.width, height=ours.height, params=params, camera_id=index)
        result.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(name=f"{ours.name}.png", camera_id=index, image_id=index)
        pose = pycolmap.Rigid3d(np.column_stack([ours.R, ours.t]))
        result.add_image_with_trivial_frame(image, pose)
    return result


def theirs(result, name, world):
    image = next(image for image in result.images.values() if image.name == name)
    return image.camera.img_from_cam(image.cam_from_world() * world)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_models(tmp_path, model, binary):
    if model not in pycolmap.CameraModelId.__members__:
        pytest.skip("this pycolmap does not know the model")
    rig = cameras.rig()
    cameras.photos(tmp_path / "images", [f"{camera.name}.png" for camera in rig])
    result, folder = reconstruction(rig, model), tmp_path / "sparse"
    folder.mkdir()
    (result.write_binary if binary else result.write_text)(str(folder))
    world = cameras.points()
    found = importers.read("colmap", folder).views
    assert len(found) == len(rig)
    for view in found:
        expected = theirs(result, view.image.name, world)
        size = (view.camera.width, view.camera.height)
        inside = ((expected > 0) & (expected < size)).all(1)
        assert inside.sum() > 100
        worst = np.abs(cameras.project(view.camera, world) - expected)[inside].max()
        fitted = "FISHEYE" in model or "DIVISION" in model
        assert worst < (0.01 if fitted else 1e-6), worst


@pytest.mark.parametrize("terms", [{}, {"k1": 0.1, "p2": 0.01}, {"k1": 0.1, "k3": -0.02, "k6": 0.01}])
def test_our_export_is_read_by_colmap(tmp_path, terms):
    rig = [replace(c, distortion=Distortion(**terms) if terms else None) for c in cameras.rig()]
    cameras.photos(tmp_path / "images", [f"{camera.name}.png" for camera in rig])
    views = tuple(View(camera, tmp_path / "images" / f"{camera.name}.png") for camera in rig)
    export.colmap(Capture("c", views), tmp_path / "out")
    result = pycolmap.Reconstruction(str(tmp_path / "out"))
    world = cameras.points()
    for camera in rig:
        difference = theirs(result, f"{camera.name}.png", world) - cameras.project(camera, world)
        assert np.abs(difference).max() < 1e-6

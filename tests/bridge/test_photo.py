"""python -m bridge photo on pictures as people give them: whose head, and is there one?"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from bridge.capture import record as captures
from bridge.errors import BridgeError
from bridge.head.landmarks import Landmarker
from bridge.job import photo
from bridge.model.package import LANDMARKS, find
from tests.support import ROOT

IMAGES = ROOT / "demo" / "capture" / "images"
pytestmark = pytest.mark.skipif(
    find_spec("ai_edge_litert") is None or find(LANDMARKS) is None,
    reason="the landmark models are not here: python -m bridge weights landmarks",
)


def demo(number: int) -> np.ndarray:
    return cv2.imread(str(IMAGES / f"cam{number:02d}.jpg"))


def drawing() -> np.ndarray:
    """A stick figure. (A drawing with eyes and a mouth passes for a face: then a head is made of it, and that said.)"""
    page = np.full((600, 500, 3), 255, np.uint8)
    cv2.circle(page, (250, 150), 90, (0, 0, 0), 4)
    for a, b in (((250, 240), (250, 430)), ((250, 290), (150, 380)), ((250, 290), (350, 380))):
        cv2.line(page, a, b, (0, 0, 0), 4)
    return page


def two() -> np.ndarray:
    return np.hstack([demo(1), demo(1)[:, ::-1]])


def small() -> np.ndarray:
    return cv2.resize(demo(1), (150, 190), interpolation=cv2.INTER_AREA)


PICTURES = {
    "back": (lambda: demo(10), "face-none", "'back.*' shows no face"),
    "drawing": (drawing, "face-none", "'drawing.*' shows no face"),
    "couple": (two, "faces-several", "'couple.*' shows 2 faces"),
    "thumb": (small, "photo-small", "'thumb.png' has only 150 x 190 pixels"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_no_head_can_be_made_of_is_one_sentence(tmp_path, name):
    make, code, says = PICTURES[name]
    picture = tmp_path / f"{name}.png"
    cv2.imwrite(str(picture), make())
    with pytest.raises(BridgeError, match=says) as caught:
        photo.make_capture([picture], tmp_path / "capture")
    assert caught.value.code == code and caught.value.cure
    assert not (tmp_path / "capture" / "capture.json").exists()


def test_one_photograph_and_one_from_the_side(tmp_path):
    """Cameras upright in metres around one head; the second turned by what the demo's own cameras say."""
    true = {view.name: view.camera for view in captures.load(ROOT / "demo" / "capture").views}
    photo.make_capture([IMAGES / "cam01.jpg", IMAGES / "cam02.jpg"], tmp_path / "capture")
    front, side = (view.camera for view in captures.load(tmp_path / "capture").views)
    for camera in (front, side):
        assert camera.up[2] > 0.9
        assert 0.3 < np.linalg.norm(camera.center) < 3
        assert Path(tmp_path / "capture" / "images" / f"{camera.name}.jpg").is_file()
    expected = turn(true["cam01"].R @ true["cam02"].R.T)
    assert turn(front.R @ side.R.T) == pytest.approx(expected, abs=12)


def test_a_small_face_in_a_large_picture_is_found(tmp_path):
    """Too small for a look at the whole picture; the head stands where it is seen."""
    page = np.full((1500, 2000, 3), 120, np.uint8)
    page[700:950, 1500:1750] = cv2.resize(demo(1), (250, 250), interpolation=cv2.INTER_AREA)
    picture = tmp_path / "far.png"
    cv2.imwrite(str(picture), page)
    assert Landmarker(find(LANDMARKS)).find(page[..., ::-1]) is None
    capture, _ = photo.make_capture([picture], tmp_path / "capture")
    (((x, y),), _) = capture.views[0].camera.project(np.zeros((1, 3)))
    assert 1550 < x < 1700 and 750 < y < 950


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photograph_that_lies_is_stood_up(tmp_path, quarters):
    """Its EXIF was lost: the capture's picture and camera are upright, the file that was given stays as it is."""
    picture = tmp_path / "lying.png"
    cv2.imwrite(str(picture), np.rot90(demo(1)[:, 100:900], quarters))
    before = picture.read_bytes()
    capture, _ = photo.make_capture([picture], tmp_path / "capture")
    (view,) = capture.views
    assert view.camera.up[2] > 0.9
    np.testing.assert_array_equal(cv2.imread(str(view.image)), demo(1)[:, 100:900])
    assert (view.camera.width, view.camera.height) == (800, 1024)
    assert picture.read_bytes() == before


def test_two_photographs_from_one_side_are_refused(tmp_path):
    """As of one moment: of lines of sight that hardly part nobody knows where they meet."""
    rows, columns = demo(1).shape[:2]
    shifted = cv2.warpAffine(demo(1), cv2.getRotationMatrix2D((columns / 2, rows / 2), 1.0, 1.0), (columns, rows))
    for name, picture in (("one", demo(1)), ("again", shifted)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    with pytest.raises(BridgeError, match="'one' and 'again' all show the head from the same side") as caught:
        photo.make_capture([tmp_path / "one.png", tmp_path / "again.png"], tmp_path / "capture")
    assert caught.value.code == "photos-alike" and caught.value.cure
    assert not (tmp_path / "capture" / "capture.json").exists()


def turn(R: np.ndarray) -> float:
    """Degrees of a rotation."""
    return float(np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1))))


@pytest.mark.parametrize("number", [8, 9])
def test_one_photograph_from_the_side_alone(tmp_path, number):
    """A little behind a profile, where no landmarks are found: the camera stands where the demo's own does."""
    name = f"cam{number:02d}"
    true = next(view.camera for view in captures.load(ROOT / "demo" / "capture").views if view.name == name)
    capture, _ = photo.make_capture([IMAGES / f"{name}.jpg"], tmp_path / "capture")
    (made,) = (view.camera for view in capture.views)
    assert np.degrees(np.arccos(np.clip(made.forward @ true.forward, -1, 1))) < 20
    assert 0.5 < np.linalg.norm(made.center) < 1.6  # metres, from the head

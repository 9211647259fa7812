"""A photograph that is a narrow crop, beside normal ones: a head, or one sentence, but never a library's assertion."""

from __future__ import annotations

from dataclasses import replace

import cv2
import pytest

pytest.importorskip("numba")

from bridge.capture import record as captures  # noqa: E402
from bridge.job.cache import Cache  # noqa: E402
from bridge.job.runner import JobRunner  # noqa: E402
from bridge.service import protocol as p  # noqa: E402
from bridge.service.wire import Control  # noqa: E402
from tests.support import synthetic  # noqa: E402

SIZE = 192
CROPS = {  # corner and size, in shares of the photograph
    "across the face": (0.0, 0.35, 1.0, 1 / 3),
    "upright through the head": (0.35, 0.0, 1 / 3, 1.0),
    "at the foot": (0.0, 2 / 3, 1.0, 1 / 3),
    "beside the head": (0.0, 0.0, 0.15, 0.45),
    "of a few pixels": (0.4, 0.5, 0.15, 0.05),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    return replace(synthetic.write(folder, views=5, size=SIZE), evaluation=None)


def with_crop(source, folder, crop: str, masks: bool, enlarged: float = 1.0):
    """The capture with its first view cut down, and perhaps enlarged; K follows."""
    x, y, w, h = (round(share * SIZE) for share in CROPS[crop])
    view = source.views[0]
    width, height = round(w * enlarged), round(h * enlarged)
    for kind in ("image", "mask", "normals"):
        picture = cv2.imread(str(getattr(view, kind)), cv2.IMREAD_UNCHANGED)[y : y + h, x : x + w]
        view = replace(view, **{kind: folder / f"{kind}.png"})
        cv2.imwrite(str(folder / f"{kind}.png"), cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST))
    view = replace(view, camera=view.camera.crop(x, y, w, h).resize(width, height))
    views = []
    for each in (view, *source.views[1:]):
        here = {}
        for kind in ("image", "mask", "normals"):
            here[kind] = folder / f"{each.name} {kind}.png"
            here[kind].write_bytes(getattr(each, kind).read_bytes())
        views.append(replace(each, **here | ({} if masks else {"mask": None})))
    return captures.save(replace(source, views=tuple(views)), folder)


def play(folder, output, settings) -> list[p.Message]:
    heard: list[p.Message] = []
    JobRunner(Cache(output / "cache")).run(p.Run("j", str(folder), str(output), settings), heard.append, Control())
    return heard


def assert_a_head_or_one_sentence(heard):
    results = [message for message in heard if isinstance(message, p.Result)]
    errors = [message for message in heard if isinstance(message, p.Error)]
    assert len(results) + len(errors) == 1, errors
    for message in heard:
        if isinstance(message, (p.Error, p.Warning)):
            assert message.code not in ("internal", "failed"), message
            assert "OpenCV" not in message.sentence and "\n" not in message.sentence


@pytest.mark.parametrize("crop", CROPS)
def test_with_measured_normals(source, tmp_path, crop):
    with_crop(source, tmp_path, crop, masks=True)
    settings = p.JobSettings(preset="draft", normals="measured", steps=5, max_vertices=1500, match=True)
    assert_a_head_or_one_sentence(play(tmp_path, tmp_path / "out", settings))


@pytest.mark.slow
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("crop", CROPS)
def test_with_predicted_normals_cameras_refined_and_a_texture(source, tmp_path, crop, masks):
    with_crop(source, tmp_path, crop, masks, enlarged=2.0 if masks else 1.0)
    settings = p.JobSettings(preset="draft", steps=5, max_vertices=1500, refine_cameras=True, texture=256)
    assert_a_head_or_one_sentence(play(tmp_path, tmp_path / "out", settings))

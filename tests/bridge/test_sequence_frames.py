"""The frames of a source: which there are, what they lack, and how a rig's pictures become a capture."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from bridge.capture import record as captures
from bridge.capture.inputs import read_inputs
from bridge.errors import BridgeError
from bridge.sequence.frames import chosen, open_source, spans
from bridge.sequence.plan import Plan
from bridge.sequence.video import Video
from tests.support import synthetic

SIZE = 64


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return synthetic.write(folder, views=4, size=SIZE), folder


@pytest.fixture
def rig(one, tmp_path):
    """A rig and five numbered pictures for each of its cameras, each with a brightness of its own."""
    capture, folder = one
    pictures = tmp_path / "pictures"
    for i, view in enumerate(capture.views):
        (pictures / view.name).mkdir(parents=True)
        for number in range(3, 8):
            cv2.imwrite(str(pictures / view.name / f"take2_{number:04d}.png"), grey(10 * number + i))
    return folder, pictures


def grey(value):
    return np.full((SIZE, SIZE, 3), value, np.uint8)


def refusal(code, function, *args):
    with pytest.raises(BridgeError) as caught:
        function(*args)
    assert caught.value.code == code and caught.value.cure
    return caught.value.sentence


def test_a_folder_of_captures_is_numbered_by_its_folders_names(one, tmp_path):
    for name in ("take3_0010", "take3_0002", "calibration"):
        shutil.copytree(one[1], tmp_path / name)
    source = open_source(tmp_path)
    assert [frame.number for frame in source.frames] == [2, 10]
    assert source.place(10, tmp_path / "unused") == tmp_path / "take3_0010"
    shutil.copytree(one[1], tmp_path / "other_2")
    assert "frame 2" in refusal("frames-twice", open_source, tmp_path)


def test_what_is_no_sequence_is_refused_with_what_would_be(one, tmp_path):
    refusal("frames-none", open_source, one[1])
    refusal("frames-none", open_source, tmp_path)


def test_a_rigs_frame_becomes_a_capture_with_that_instants_pictures(rig, tmp_path):
    source = open_source(*rig)
    assert [frame.number for frame in source.frames] == [3, 4, 5, 6, 7] and not source.remarks
    inputs = read_inputs(source.place(5, tmp_path / "made"))
    assert [round(float(photo.pixels.mean() * 255)) for photo in inputs.photos] == [50, 51, 52, 53]
    assert [mask is None for mask in inputs.given_masks] == [True] * 4  # the calibration's masks are of another instant


def test_dropped_frames_are_named_and_the_others_go_on(rig, tmp_path):
    folder, pictures = rig
    (pictures / "cam01" / "take2_0005.png").unlink()
    (pictures / "cam02" / "take2_0003.png").unlink()
    source = open_source(folder, pictures)
    assert [frame.number for frame in source.frames] == [4, 5, 6, 7]  # all cameras have begun
    assert [frame.missing for frame in source.frames] == [(), ("cam01",), (), ()]
    text = " ".join(source.remarks)
    assert "Camera 'cam01' has dropped 1 frames: 5." in text and "from 4 to 7" in text
    assert len(captures.load(source.place(5, tmp_path / "made")).views) == 3
    (pictures / "cam02" / "take2_0005.png").unlink()
    assert "2 of 4 cameras" in refusal("frames-dropped", open_source(folder, pictures).place, 5, tmp_path / "again")


def test_a_camera_without_pictures_and_takes_that_never_meet_are_refused(rig):
    folder, pictures = rig
    for number in range(3, 8):
        late = pictures / "cam03" / f"take2_{number:04d}.png"
        late.rename(late.with_name(f"take2_{number + 20:04d}.png"))
    assert "cam03" in refusal("frames-none", open_source, folder, pictures)
    shutil.rmtree(pictures / "cam03")
    assert "'cam03'" in refusal("frames-camera", open_source, folder, pictures)


def write_video(path, values):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, (SIZE, SIZE))
    for value in values:
        writer.write(grey(value))
    writer.release()


def test_a_video_gives_the_picture_of_its_index_forwards_and_back(tmp_path):
    write_video(tmp_path / "a.mp4", range(20, 220, 20))
    video = Video(tmp_path / "a.mp4")
    for index in (0, 1, 1, 4, 9, 3):
        assert abs(float(video.read(index).mean()) - (20 + 20 * index)) < 4
    assert video.read(10) is None
    (tmp_path / "b.mp4").write_bytes(b"no video")
    assert "b.mp4" in refusal("video", Video, tmp_path / "b.mp4")


def test_a_videos_red_stays_red(one, tmp_path):
    for view in one[0].views:
        writer = cv2.VideoWriter(str(tmp_path / f"{view.name}.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (SIZE, SIZE))
        writer.write(np.full((SIZE, SIZE, 3), (20, 40, 200), np.uint8))  # OpenCV's order: blue, green, red
        writer.release()
    photo = read_inputs(open_source(one[1], tmp_path).place(1, tmp_path / "made")).photos[0]
    np.testing.assert_allclose(255 * photo.pixels.mean((0, 1)), [200, 40, 20], atol=8)


def test_videos_of_a_rig_share_their_first_frame_and_the_shortest_ends_them(one, tmp_path):
    capture, folder = one
    for i, view in enumerate(capture.views):
        write_video(tmp_path / f"{view.name}.mp4", [40 * k + 10 * i for k in range(6 if i == 2 else 5)])
    source = open_source(folder, tmp_path, None, 100)
    assert [frame.number for frame in source.frames] == [100, 101, 102, 103, 104] and "105" in source.remarks[0]
    photos = read_inputs(source.place(103, tmp_path / "made")).photos
    means = [float(photo.pixels.mean() * 255) for photo in photos]
    np.testing.assert_allclose(means, [120, 130, 140, 150], atol=4)  # the codec's own loss


def test_ranges(rig):
    frames = open_source(*rig).frames
    assert [frame.number for frame in chosen(frames, "4-5, 7")] == [4, 5, 7]
    assert len(chosen(frames, "")) == 5 and spans([3, 7, 8, 9, 12]) == "3, 7-9, 12"
    assert "3-7" in str(pytest.raises(BridgeError, chosen, frames, "9-12").value)
    refusal("frames-range", chosen, frames, "first")


def test_a_frames_key_changes_with_its_own_pictures_only(rig, tmp_path):
    folder, pictures = rig
    plan = Plan(str(folder), str(tmp_path), str(pictures))
    source = plan.open()
    keys = [plan.key(source, number) for number in range(3, 8)]
    assert len(set(keys)) == 5
    cv2.imwrite(str(pictures / "cam00" / "take2_0004.png"), np.eye(SIZE, dtype=np.uint8) * 255)
    again = [plan.key(source, number) for number in range(3, 8)]
    assert [a == b for a, b in zip(keys, again)] == [True, False, True, True, True]
    body = json.loads((folder / "capture.json").read_text())
    assert body["views"][0]["name"] == "cam00"

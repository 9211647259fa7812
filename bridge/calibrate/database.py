"""COLMAP's database of one calibration: cameras and images in a fixed order, features, matches of pairs.

Everything is written in the order of the photographs' names and with fixed seeds, so that the same photographs give the
same cameras again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap

from ..service.reporter import Reporter
from .cancellation import run_cancellable
from .photographs import Photograph

FEATURES = 8192  # most of one photograph ...
MANY, FEATURES_OF_MANY = 16, 4096  # ... but fewer in a set of many, whose neighbours are close
IMAGE_SIZE = 2400  # pixels of the longer side in which features are looked for
# Smaller photographs are looked at in twice their size, as SIFT's author does. In large ones that takes 3.6 times as
# long for the finest features, which are blur and noise there, and the strongest are the same.
ENLARGED_BELOW = 2000
# SIFT's threshold of contrast (COLMAP: 0.0067): skin and plaster have few strong features, and weak ones still match
PEAK_THRESHOLD = 0.0022
NO_FOCAL = 1.2  # of the longer side where nothing is known: a telephone's main lens, or 43 mm on full frame
PAIRS_AT_ONCE = 12
MIN_INLIERS = 15  # matches that agree with one geometry before two photographs count as overlapping
MODELS = {
    "none": "SIMPLE_PINHOLE",
    "simple": "SIMPLE_RADIAL",
    "radial": "RADIAL",
    "opencv": "OPENCV",
    "fisheye": "OPENCV_FISHEYE",
}
EXTRA_PARAMETERS = {"none": 0, "simple": 1, "radial": 2, "opencv": 4, "fisheye": 4}

Pair = tuple[str, str]


@dataclass(frozen=True)
class Matching:
    """How hard to look for matches. guided: a second search along the epipolar lines of the first's geometry."""

    guided: bool = False
    ratio: float = 0.8  # Lowe's: the best match must be this much nearer than the second best


@dataclass(frozen=True)
class Session:
    """The files of one calibration. masks: folder of NAME.png, or None to use the whole photographs."""

    database: Path
    images: Path
    masks: Path | None
    seed: int
    threads: int = 0  # 0: all cores

    @property
    def workers(self) -> int:
        return self.threads or os.cpu_count() or 1


@contextlib.contextmanager
def opened(session: Session) -> Iterator[pycolmap.Database]:
    """COLMAP's database of the session, closed when the block ends."""
    database = pycolmap.Database.open(str(session.database))
    try:
        yield database
    finally:
        database.close()


def register(session: Session, photographs: Sequence[Photograph], groups: Sequence[int], lens: str) -> None:
    """Write cameras and images. groups[i]: number of the camera of photograph i."""
    with opened(session) as database:
        cameras: dict[int, tuple[pycolmap.Camera, int]] = {}
        for photograph, group in zip(photographs, groups, strict=True):
            if group not in cameras:
                focals = [p.focal_px for p, g in zip(photographs, groups) if g == group and p.focal_px]
                known = sum(focals) / len(focals) if focals else None
                camera = first_camera(photograph, lens, known)
                camera.camera_id = database.write_camera(camera)
                rig = pycolmap.Rig()
                rig.add_ref_sensor(camera.sensor_id)
                cameras[group] = camera, database.write_rig(rig)
            camera, rig_id = cameras[group]
            image = pycolmap.Image(name=photograph.name, camera_id=camera.camera_id)
            image.image_id = database.write_image(image)
            frame = pycolmap.Frame()
            frame.rig_id = rig_id
            frame.add_data_id(image.data_id)
            image.frame_id = database.write_frame(frame)
            database.update_image(image)


def first_camera(photograph: Photograph, lens: str, focal_px: float | None) -> pycolmap.Camera:
    """The camera from which the solver starts: principal point in the middle, no distortion."""
    width, height = photograph.width, photograph.height
    focal = focal_px or NO_FOCAL * max(width, height)
    focals = [focal, focal] if lens in ("opencv", "fisheye") else [focal]
    params = [*focals, width / 2, height / 2, *([0.0] * EXTRA_PARAMETERS[lens])]
    camera = pycolmap.Camera(model=MODELS[lens], width=width, height=height, params=params)
    camera.has_prior_focal_length = focal_px is not None
    return camera


def find_features(session: Session, photographs: Sequence[Photograph], report: Reporter) -> dict[str, int]:
    """Detect SIFT features (Lowe 2004) in every photograph; returns how many by name."""
    options = pycolmap.FeatureExtractionOptions()
    options.use_gpu = False
    options.num_threads = session.workers
    options.max_image_size = IMAGE_SIZE
    options.sift.max_num_features = FEATURES if len(photographs) <= MANY else FEATURES_OF_MANY
    options.sift.peak_threshold = PEAK_THRESHOLD
    small = max(max(photograph.width, photograph.height) for photograph in photographs) < ENLARGED_BELOW
    options.sift.first_octave = -1 if small else 0
    reader = pycolmap.ImageReaderOptions()
    if session.masks is not None:
        reader.mask_path = str(session.masks)
    for start in range(0, len(photographs), session.workers):
        names = [photograph.name for photograph in photographs[start : start + session.workers]]

        def extract(token: pycolmap.CancellationToken, names: list[str] = names) -> None:
            pycolmap.extract_features(
                str(session.database),
                str(session.images),
                names,
                reader_options=reader,
                extraction_options=options,
                cancellation_token=token,
            )

        run_cancellable(extract, report.check)
        report.step(start + len(names), len(photographs))
    with opened(session) as database:
        return {image.name: database.num_keypoints_for_image(image.image_id) for image in database.read_all_images()}


def descriptions(session: Session) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Descriptors [n, 128] uint8 of every photograph by name, and the sizes [n] of its features in pixels."""
    found = {}
    with opened(session) as database:
        for image in database.read_all_images():
            keypoints = np.asarray(database.read_keypoints(image.image_id)).reshape(-1, 6)  # x, y, affine shape
            sizes = np.sqrt(np.abs(keypoints[:, 2] * keypoints[:, 5] - keypoints[:, 3] * keypoints[:, 4]))
            found[image.name] = database.read_descriptors(image.image_id).data.reshape(-1, 128), sizes
    return found


def match(session: Session, pairs: Sequence[Pair], how: Matching, report: Reporter) -> None:
    """Match pairs of photographs and keep what agrees with a two-view geometry, in place of what was known of them."""
    options = pycolmap.FeatureMatchingOptions()
    options.use_gpu = False
    options.num_threads = session.workers
    options.guided_matching = how.guided
    options.sift.max_ratio = how.ratio
    geometry = pycolmap.TwoViewGeometryOptions()
    geometry.min_num_inliers = MIN_INLIERS
    geometry.ransac.random_seed = session.seed
    listed = pycolmap.ImportedPairingOptions()
    file = session.database.with_name("pairs.txt")
    listed.match_list_path = str(file)

    def compare(token: pycolmap.CancellationToken) -> None:
        pycolmap.match_image_pairs(
            str(session.database),
            matching_options=options,
            pairing_options=listed,
            verification_options=geometry,
            cancellation_token=token,
        )

    _forget(session, pairs)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = pairs[start : start + PAIRS_AT_ONCE]
        file.write_text("".join(f"{a} {b}\n" for a, b in some), encoding="utf-8")
        run_cancellable(compare, report.check)
        report.step(start + len(some), len(pairs))


def inliers(session: Session) -> dict[Pair, int]:
    """How many matches each pair of photographs shares that agree with one geometry."""
    with opened(session) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        ids, counts = database.read_two_view_geometry_num_inliers()
        found = {}
        for pair, count in zip(ids, counts):
            if count:
                a, b = pycolmap.pair_id_to_image_pair(pair)
                found[_ordered(names[a], names[b])] = int(count)
        return found


def best_partners(common: Mapping[Pair, int], name: str) -> list[tuple[int, str]]:
    """The photographs that share most with one, best first, as (matches, name)."""
    found = [(count, a if b == name else b) for (a, b), count in common.items() if name in (a, b)]
    return sorted(found, key=lambda entry: (-entry[0], entry[1]))


def _forget(session: Session, pairs: Sequence[Pair]) -> None:
    with opened(session) as database:
        ids = {image.name: image.image_id for image in database.read_all_images()}
        for a, b in pairs:
            if database.exists_matches(ids[a], ids[b]):
                database.delete_matches(ids[a], ids[b])
            if database.exists_two_view_geometry(ids[a], ids[b]):
                database.delete_two_view_geometry(ids[a], ids[b])


def _ordered(a: str, b: str) -> Pair:
    return (a, b) if a < b else (b, a)

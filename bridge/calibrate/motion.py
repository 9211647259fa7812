"""Structure from motion: poses of the photographs and points they share, with an account of who failed and why.

COLMAP's incremental mapper (Schoenberger and Frahm 2016) on matches of likely pairs. Photographs that did not join are
matched again, harder (guided along epipolar lines), and the mapping repeated: wide baselines between 13 photographs
join so, and easy sets do not pay for it.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pycolmap

from ..capture.cameras import Camera
from ..errors import Cancelled
from ..importers.colmap_models import Lens, model
from ..service.reporter import Reporter
from .cancellation import run_cancellable
from .database import (
    MIN_INLIERS,
    Matching,
    Pair,
    Session,
    best_partners,
    descriptions,
    find_features,
    inliers,
    match,
    register,
)
from .overlap import likely_pairs
from .photographs import Photograph

THOROUGH = Matching(guided=True, ratio=0.85)
FEW_FEATURES = 300  # a sharp photograph of a head has thousands
MIN_POINTS = 12  # a photograph held by fewer points is not believed
MAX_ERROR_PX = 4.0  # nor one whose points lie further off on average
AUTO = "auto"  # a lens of one radial term, and of two where they explain the photographs better
BETTER = 0.99  # times the error with one term, that two must stay below: 0.79 for a zoom at 18 mm, 0.9999 for none
LEAST_ALIKE = 3  # photographs of a lens that two terms are found from

SHARES = {
    "Reading photographs": 0.01,
    "Finding features": 0.37,
    "Matching": 0.25,
    "Solving the cameras": 0.06,
    "Matching again": 0.18,
    "Solving again": 0.04,
    "Finding the face": 0.07,
    "Writing": 0.02,
}


@dataclass(frozen=True)
class Settings:
    """What the user may choose. shared: one lens for photographs of one kind (EXIF, size), or one for each."""

    lens: str = AUTO  # or a key of database.MODELS
    shared: bool = True
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Registered:
    """A photograph with its camera. points: how many it sees; error_px: their mean distance from where they project;
    loose_deg: standard deviation of its rotation against the other cameras', as far as the matches are right.
    """

    photograph: Photograph
    camera: Camera
    group: int  # photographs of one number share their lens
    features: int
    points: int
    error_px: float
    loose_deg: float


@dataclass(frozen=True)
class Failed:
    """A photograph without a camera, and why it has none."""

    photograph: Photograph
    features: int
    why: str


@dataclass(frozen=True, eq=False)
class Matched:
    """The photographs before they were joined, and what they have in common."""

    photographs: Sequence[Photograph]
    groups: Sequence[int]  # photographs of one number share their lens
    features: Mapping[str, int]  # of each photograph, by name
    common: Mapping[Pair, int]  # matches of each pair that agree with one geometry


@dataclass(frozen=True, eq=False)
class Motion:
    """The rig in COLMAP's own world: arbitrary origin, turn and scale."""

    joined: tuple[Registered, ...]
    failed: tuple[Failed, ...]
    points: np.ndarray  # [N, 3]
    colors: np.ndarray  # [N, 3] uint8 sRGB
    error_px: float  # mean over all observations


def solve(
    photographs: Sequence[Photograph], settings: Settings, masks: Path | None, work: Path, report: Reporter
) -> Motion:
    """Cameras of as many photographs as join one model; joined is empty where no two of them do.

    All photographs lie in one folder. work: a folder for COLMAP's files.
    """
    pycolmap.logging.minloglevel = int(pycolmap.logging.ERROR)
    pycolmap.set_random_seed(settings.seed)
    session = Session(work / "database.db", photographs[0].path.parent, masks, settings.seed)
    groups = lens_groups(photographs, settings.shared)
    register(session, photographs, groups, "simple" if settings.lens == AUTO else settings.lens)
    names = [photograph.name for photograph in photographs]
    report.begin("Finding features")
    features = find_features(session, photographs, report)
    report.begin("Matching")
    pairs = likely_pairs(descriptions(session), settings.seed, report.check)
    match(session, pairs, Matching(), report)
    report.begin("Solving the cameras")
    models = _incremental_mapping(session, work / "first", len(names), report)
    best = _largest(models)
    missing = sorted(set(names) - _registered_names(best))
    if missing and len(missing) < len(names):
        report.begin("Matching again")
        again = sorted({(a, b) for a, b in combinations(names, 2) if a in missing or b in missing})
        match(session, again, THOROUGH, report)
        report.begin("Solving again")
        more = _incremental_mapping(session, work / "second", len(names), report)
        if len(_registered_names(_largest(more))) > len(_registered_names(best)):
            models, best = more, _largest(more)
    matched = Matched(photographs, groups, features, inliers(session))
    if best is None:
        return Motion((), _failures(photographs, matched, [], set()), *_no_points(), 0.0)
    others = [found for found in models if found is not best]
    return _account(*_adjusted(best, settings.lens), others, matched)


def lens_groups(photographs: Sequence[Photograph], shared: bool) -> list[int]:
    """A number for every photograph; equal numbers share their intrinsics."""
    if not shared:
        return list(range(len(photographs)))
    numbers: dict[tuple[str, ...], int] = {}
    return [numbers.setdefault(photograph.lens, len(numbers)) for photograph in photographs]


def _incremental_mapping(session: Session, folder: Path, count: int, report: Reporter) -> list[pycolmap.Reconstruction]:
    folder.mkdir()
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = session.seed
    options.mapper.random_seed = session.seed
    options.triangulation.random_seed = session.seed
    options.num_threads = 1  # sums in another order would give other cameras
    options.extract_colors = True
    options.min_model_size = 3
    options.min_num_matches = MIN_INLIERS
    options.mapper.init_min_num_inliers = 50
    options.mapper.abs_pose_min_num_inliers = MIN_INLIERS
    options.mapper.abs_pose_min_inlier_ratio = 0.15
    done = 2

    def joined() -> None:
        nonlocal done
        done = min(done + 1, count)
        with contextlib.suppress(Cancelled):  # the main thread looks for it, too
            report.step(done, count)

    def assemble(token: pycolmap.CancellationToken) -> dict[int, pycolmap.Reconstruction]:
        return pycolmap.incremental_mapping(
            str(session.database),
            str(session.images),
            str(folder),
            options=options,
            next_image_callback=joined,
            cancellation_token=token,
        )

    models = run_cancellable(assemble, report.check)
    return [models[key] for key in sorted(models)]


def _adjusted(reconstruction: pycolmap.Reconstruction, lens: str) -> tuple[pycolmap.Reconstruction, dict[str, float]]:
    """After the last adjustment, with a second radial term where it pays; and how loose each camera is."""
    loose = _bundle_adjust(reconstruction)
    if lens == AUTO:
        finer = _with_two_terms(reconstruction)
        finer_loose = _bundle_adjust(finer)
        if _error(finer) < BETTER * _error(reconstruction):
            return finer, finer_loose
    return reconstruction, loose


def _bundle_adjust(reconstruction: pycolmap.Reconstruction) -> dict[str, float]:
    """A last adjustment of everything, robust against the matches that are wrong; returns how loose each camera is.

    The principal point stays in the middle: level photographs of one head do not tell it from the pose (solved for, it
    went 11 pixels astray on ten renderings of a bust, and moved by less than a pixel on thirteen of the Buddha).
    """
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.ceres.solver_options.num_threads = 1
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    config = pycolmap.BundleAdjustmentConfig()
    for image in reconstruction.images.values():
        if image.has_pose:
            config.add_image(image.image_id)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    adjuster = pycolmap.create_default_ceres_bundle_adjuster(options, config, reconstruction)
    adjuster.solve()
    reconstruction.update_point_3d_errors()
    return _rotation_deviation(reconstruction, adjuster)


def _with_two_terms(reconstruction: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """A copy whose lenses may bend back towards the rim: the second radial term, to start with 0, of those that took
    several photographs.

    One term alone takes it out on the focal length: 1 % of it on forty photographs of a zoom at 18 mm (RADIAL 0.66
    pixels, SIMPLE_RADIAL 0.84; with the principal point free 0.65, with tangential terms 0.66).
    """
    finer = pycolmap.Reconstruction(reconstruction)
    taken = Counter(image.camera_id for image in finer.images.values() if image.has_pose)
    for number, camera in finer.cameras.items():
        if taken[number] >= LEAST_ALIKE:
            params = [*camera.params, 0.0]
            camera.model = pycolmap.CameraModelId.RADIAL
            camera.params = params
    return finer


def _error(reconstruction: pycolmap.Reconstruction) -> float:
    """Mean distance in pixels of all points from where their photographs show them."""
    seen = [_distances(reconstruction, image) for image in reconstruction.images.values() if image.has_pose]
    return float(np.concatenate(seen).mean())


def _rotation_deviation(
    reconstruction: pycolmap.Reconstruction, adjuster: pycolmap.CeresBundleAdjuster
) -> dict[str, float]:
    """Standard deviation of each camera's rotation in degrees, from the covariance of the adjustment. It is measured
    against the camera that the adjustment holds still (0 for that one), so what stands out from the others matters.
    """
    options = pycolmap.BACovarianceOptions()
    options.params = pycolmap.BACovarianceOptionsParams.POSES
    covariance = pycolmap.estimate_ba_covariance(options, reconstruction, adjuster)
    images = [image for image in reconstruction.images.values() if image.has_pose]
    residuals = np.concatenate([_distances(reconstruction, image) for image in images])
    variance = float((residuals**2).mean() / 2)  # of one coordinate, in square pixels
    found = {}
    for image in images:
        known = None if covariance is None else covariance.get_cam_cov_from_world(image.image_id)
        turn = 0.0 if known is None else max(float(np.trace(known[:3, :3])), 0.0)
        found[image.name] = float(np.degrees(np.sqrt(turn * variance)))
    return found


def _largest(models: Sequence[pycolmap.Reconstruction]) -> pycolmap.Reconstruction | None:
    return max(models, key=lambda found: (found.num_reg_images(), found.num_points3D()), default=None)


def _registered_names(reconstruction: pycolmap.Reconstruction | None) -> set[str]:
    if reconstruction is None:
        return set()
    return {image.name for image in reconstruction.images.values() if image.has_pose}


def _no_points() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)


def _account(
    best: pycolmap.Reconstruction,
    loose: Mapping[str, float],
    others: Sequence[pycolmap.Reconstruction],
    matched: Matched,
) -> Motion:
    by_name = {image.name: image for image in best.images.values() if image.has_pose}
    joined, weak, errors = [], set(), []
    for photograph, group in zip(matched.photographs, matched.groups):
        image = by_name.get(photograph.name)
        if image is None:
            continue
        distances = _distances(best, image)
        if len(distances) < MIN_POINTS or not distances.mean() <= MAX_ERROR_PX:
            weak.add(photograph.name)
            continue
        lens = Lens(image.camera.model.name, photograph.width, photograph.height, np.array(image.camera.params))
        K, distortion = model(lens, f"The lens of '{photograph.name}'")
        pose = image.cam_from_world().matrix()
        size = (photograph.width, photograph.height)
        camera = Camera(photograph.path.stem, K, pose[:, :3].copy(), pose[:, 3].copy(), *size, distortion)
        figures = matched.features[photograph.name], len(distances), float(distances.mean()), loose[photograph.name]
        joined.append(Registered(photograph, camera, group, *figures))
        errors.append(distances)
    there = {j.photograph.name for j in joined}
    absent = [photograph for photograph in matched.photographs if photograph.name not in there]
    points = [best.points3D[key] for key in sorted(best.points3D)]
    return Motion(
        tuple(joined),
        _failures(absent, matched, [_registered_names(found) for found in others], weak),
        np.array([point.xyz for point in points]).reshape(-1, 3),
        np.array([point.color for point in points], np.uint8).reshape(-1, 3),
        float(np.concatenate(errors).mean()) if errors else 0.0,
    )


def _distances(best: pycolmap.Reconstruction, image: pycolmap.Image) -> np.ndarray:
    """Pixels between each point that a photograph sees and where its camera projects it."""
    seen = [point for point in image.points2D if point.has_point3D()]
    if not seen:
        return np.zeros(0)
    world = np.array([best.points3D[point.point3D_id].xyz for point in seen])
    assert image.camera is not None
    projected = image.camera.img_from_cam(image.cam_from_world() * world)
    return np.linalg.norm(np.asarray(projected) - np.array([point.xy for point in seen]), axis=1)


def _failures(
    absent: Sequence[Photograph], matched: Matched, others: Sequence[set[str]], weak: set[str]
) -> tuple[Failed, ...]:
    return tuple(
        Failed(photograph, matched.features[photograph.name], _reason(photograph.name, matched, others, weak))
        for photograph in absent
    )


def _reason(name: str, matched: Matched, others: Sequence[set[str]], weak: set[str]) -> str:
    if matched.features[name] < FEW_FEATURES:
        return f"only {matched.features[name]} features: blurred, too dark, or its mask hides everything"
    partners = best_partners(matched.common, name)
    if not partners:
        return "it shares nothing with any other photograph: too far from its neighbours, or of something else"
    count, best = partners[0]
    if name in weak:
        return f"too few of its points fit (it shares {count} with '{best}'): its pose would be a guess"
    group = next((group for group in others if name in group), None)
    if group is not None:
        rest = ", ".join(f"'{other}'" for other in sorted(group - {name})[:3])
        return f"it joined only {rest}{' ...' if len(group) > 4 else ''}: nothing links them to the others"
    return f"it shares only {count} points with '{best}'" + (
        " and less with every other photograph" if len(partners) > 1 else " and nothing with the others"
    )

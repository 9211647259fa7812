"""The stages of one reconstruction: read, refine, predict, carve, measure. The only place that reports progress."""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from ..capture import masks
from ..capture import record as captures
from ..capture.cameras import Camera
from ..capture.framing import HeadFrame, head_frame
from ..capture.inputs import Inputs, measured_map, read_inputs
from ..capture.normal_map import NormalMap, NormalPredictor
from ..errors import BridgeError, Cancelled
from ..files import claim_folder
from ..normals import make_predictor
from ..photometric import Matched, match_photographs
from ..raster import choose
from ..refine import Refined, refine, write_capture
from ..report import normal_files, picture, quality, results
from ..service.protocol import VERSION, Error, JobSettings, Preview, Result, Run, Status
from ..service.reporter import MATCHING, STAGES, Reporter, refining
from ..service.wire import Control, Send
from ..solve import Mesh, Solver, SolveSettings, Target, coverage, untangled
from ..solve.targets import make_targets
from ..texture import vertex_colors as texture
from . import preflight
from .cache import Cache, key_of

NORMALS_SIZE = 512  # pixels of the longer side of a predicted map
PREVIEW_SECONDS = 0.3
# Silhouettes are exact where predicted normals are not, so they weigh more than with measured normals (there the
# solver's own 0.2 is best). Found with the network of November 2026, 19 degrees off (depth_mm at 0.2 -> here, draft):
# marble_bust 3.03 -> 2.24 and 2.19, valid_wf2 2.70 -> 2.49 and 2.13.
MASK_WEIGHT_PREDICTED, MASK_WEIGHT_GIVEN = 2.0, 4.0
# Where views contradict each other the surface folds, and ripples of a head whose normals are wrong help nobody. 0.2
# reaches outlines better than 0.5 (least IoU on buddha_real with the mattes 0.977 and 0.965, with the given masks 0.946
# and 0.933), which was 0.01 to 0.02 mm better in depth.
SMOOTHNESS_PREDICTED = 0.2
DIFFUSION_PREDICTED = 12  # rounds; docs/bench.md, "Seams and pimples"
PREDICT_ONLY = {"Reading photos": 0.1, "Predicting normals": 0.8, "Drawing": 0.1}  # share of the time
HEAD_MM = (120.0, 1200.0)  # a head with shoulders is within this, or the scale is wrong


class Workshop:
    """Runs jobs, one after another, and keeps what makes the next one faster: predictors and the stage cache."""

    def __init__(self, cache: Cache | None = None) -> None:
        self.cache = cache or Cache()
        self._predictors: dict[tuple[str, str], NormalPredictor] = {}

    def play(self, run: Run, send: Send, control: Control) -> None:
        """One whole job. Sends everything but its Done; a failure is one Error message, never an exception."""
        try:
            (self._predict_only if run.settings.stage == "normals" else self._reconstruct)(run, send, control)
        except Cancelled:
            send(Status(run.id, "Cancelled."))
        except BrokenPipeError:
            raise
        except Exception as error:
            send(as_error(run.id, error))
        finally:
            # a graphics card is shared with Blender's viewport: its memory goes back after every job
            for key, predictor in list(self._predictors.items()):
                if "CPU" not in predictor.provider:
                    del self._predictors[key]
            gc.collect()

    def predict(self, inputs: Inputs, settings: JobSettings, report: Reporter, size: int = NORMALS_SIZE) -> None:
        """Stage 1: fill inputs.maps from files or from a predictor (cached by content)."""
        if settings.normals == "measured":
            inputs.maps = [measured_map(inputs, i) for i in range(len(inputs.photos))]
            return
        device = settings.device
        key = (settings.normals, device)
        if key not in self._predictors:
            self._predictors[key] = make_predictor(settings.normals, device)
        predictor = self._predictors[key]
        inputs.provider = predictor.provider
        cameras = inputs.cameras
        seen = [part for view in inputs.capture.views for part in _content(view)]
        name = key_of([predictor.name, str(size), *seen, *(camera.K for camera in cameras)])
        stored = self.cache.get(name)
        if stored is None:
            inputs.maps = predictor.predict(
                [photo.pixels for photo in inputs.photos],
                cameras,
                inputs.given_masks,
                size=size,
                progress=report.step,
                cancelled=report.control.cancel.is_set,
            )
            report.check()
            stored = _stored(inputs.maps)
            self.cache.put(name, stored)
        # also a fresh result goes through the stored form: the same mesh, cached or not
        inputs.maps = _restored(stored, cameras)

    def _predict_only(self, run: Run, send: Send, control: Control) -> None:
        output = Path(run.output)
        claim_folder(output)
        report = Reporter(run.id, send, control, PREDICT_ONLY)
        report.begin("Reading photos")
        inputs = read_inputs(Path(run.capture), report)
        report.begin("Predicting normals")
        self.predict(inputs, run.settings, report)
        report.begin("Drawing")
        path = normal_files.write(inputs, output, report.step)
        report.end()
        send(Result(run.id, str(path), str(path), str(output / normal_files.CONTACT)))

    def _reconstruct(self, run: Run, send: Send, control: Control) -> None:
        settings = run.settings
        output = Path(run.output)
        claim_folder(output)
        wanted = settings.normals != "measured" if settings.match is None else settings.match
        shares = MATCHING if wanted else STAGES
        report = Reporter(run.id, send, control, refining(shares) if settings.refine_cameras else shares)
        report.begin("Reading photos")
        inputs = read_inputs(Path(run.capture), report)
        refined = self._refine(inputs, settings, output, report) if settings.refine_cameras else None
        solve_settings = _solve_settings(settings, inputs, report)
        report.begin("Predicting normals")
        self.predict(inputs, settings, report)
        seen = [part for view in inputs.capture.views for part in _content(view)]
        preflight.warn(inputs, key_of([settings.normals, *seen]), self.cache, report)
        report.begin("Carving the head")
        targets = make_targets(inputs.maps)
        frame = _start(targets)
        mesh, steps = _carve(targets, solve_settings, frame, output, report)
        matched = None
        if wanted and not control.finish.is_set():
            report.begin("Matching the photographs")
            matched = _match(mesh, inputs, frame, report)
            mesh = matched.mesh
        report.begin("Measuring")
        send(_write(run, inputs, targets, frame, mesh, refined, matched, steps, report, solve_settings))

    def _refine(self, inputs: Inputs, settings: JobSettings, output: Path, report: Reporter) -> Refined:
        """Better poses for all that follows. The network sees the head in the cameras' frame, so it is asked again."""
        mattes = inputs.given_masks
        if any(mask is None for mask in mattes):
            report.begin("Finding the head")
            self.predict(inputs, settings, report)
            found = zip(mattes, inputs.maps, strict=True)
            mattes = [known.matte if mask is None else mask for mask, known in found]
        report.begin("Refining the cameras")
        photos = [photo.pixels for photo in inputs.photos]
        refined = refine(inputs.cameras, photos, mattes, report.check, report.step)
        if refined.cure:
            report.warn("cameras-not-refined", refined.sentence, refined.cure)
        else:
            report.send(Status(report.id, refined.sentence))
        if not refined.refused:
            inputs.place(refined.cameras)
            write_capture(inputs.capture, output / "refined")
        return refined


def as_error(run_id: str, error: Exception) -> Error:
    """The message for any exception: our own sentences as they are, all others with their trace in the log."""
    if isinstance(error, BridgeError):
        return Error(run_id, error.code, error.sentence, error.cure)
    traceback.print_exc(file=sys.stderr)
    if isinstance(error, MemoryError):
        return Error(run_id, "memory", "There is not enough memory.", "Close other programs or choose a lower preset.")
    if isinstance(error, (ValueError, RuntimeError)):
        return Error(run_id, "failed", str(error) or type(error).__name__, "")
    cure = "Please report it with the run's log."
    return Error(run_id, "internal", f"The bridge met a fault of its own: {type(error).__name__}: {error}.", cure)


def _content(view: captures.View) -> list[bytes | np.ndarray | None]:
    """All that decides a view's pixels, mask and camera: the files as they lie there are far smaller than decoded."""
    camera = view.camera
    lens = None if camera.distortion is None else camera.distortion.coefficients()
    mask = None if view.mask is None else view.mask.read_bytes()
    return [camera.K, camera.R, camera.t, lens, view.image.suffix.encode(), view.image.read_bytes(), mask]


_MAPS = ("normals", "matte", "confidence", "canonical")


def _stored(maps: Sequence[NormalMap]) -> dict[str, np.ndarray]:
    """float16 loses at most 0.03 degrees of a normal and halves the cache."""
    named = {f"{key}{i}": getattr(found, key) for i, found in enumerate(maps) for key in _MAPS}
    return {name: values.astype(np.float16) for name, values in named.items() if values is not None}


def _restored(arrays: dict[str, np.ndarray], cameras: Sequence[Camera]) -> list[NormalMap]:
    maps = []
    for i, camera in enumerate(cameras):
        found = {key: arrays[f"{key}{i}"].astype(np.float32) for key in _MAPS if f"{key}{i}" in arrays}
        height, width = found["matte"].shape
        maps.append(NormalMap(camera.resize(width, height), **{"confidence": None} | found))
    return maps


def _solve_settings(settings: JobSettings, inputs: Inputs, report: Reporter) -> SolveSettings:
    capture = inputs.capture
    raster = settings.device if settings.raster == "auto" and settings.device != "auto" else settings.raster
    changes: dict = {"seed": settings.seed, "raster": choose(raster)}
    if settings.normals != "measured":
        given = all(mask is not None for mask in inputs.given_masks)
        changes["mask_weight"] = MASK_WEIGHT_GIVEN if given else MASK_WEIGHT_PREDICTED
        changes["laplacian"] = SMOOTHNESS_PREDICTED
        changes |= {"diffusion": DIFFUSION_PREDICTED, "relief": 0.0}
    for ours, theirs in (("steps", "steps"), ("max_vertices", "max_vertices"), ("smoothness", "laplacian")):
        if (value := getattr(settings, ours)) is not None:
            changes[theirs] = value
    if settings.min_edge_mm:
        if capture.unit_mm is None:
            report.warn(
                "no-scale",
                "The shortest edge is given in millimetres, but the capture's scale is unknown: it is ignored.",
                "Give the capture's unit_mm.",
            )
        else:
            changes["min_edge"] = settings.min_edge_mm / capture.unit_mm
    return SolveSettings.preset(settings.preset, **changes)


def _start(targets: Sequence[Target]) -> HeadFrame:
    """The sphere the solver begins with: from the mattes, which say more than the optical axes."""
    boxes = masks.boxes([target.mask for target in targets])
    for target, box in zip(targets, boxes):
        if np.isnan(box).any():
            raise BridgeError(
                "mask-empty",
                f"No head was found in view '{target.camera.name}'.",
                "Check that its photograph shows the head, or give it a mask.",
            )
    return head_frame([target.camera for target in targets], boxes)


def _carve(
    targets: list[Target], settings: SolveSettings, frame: HeadFrame, output: Path, report: Reporter
) -> tuple[Mesh, int]:
    """Stage 2, with previews. Returns the cleaned mesh and the number of steps taken."""
    solver = Solver(targets, settings, frame, report.check)
    last_preview = time.monotonic()
    previews = steps = 0
    for progress in solver:
        steps = progress.done
        report.step(progress.done, progress.total, progress.work)
        if report.control.finish.is_set():
            break
        if time.monotonic() - last_preview > PREVIEW_SECONDS:
            mesh = solver.mesh()
            # two names in turn, so that the reader of one is never overtaken
            path = output / f"preview{previews % 2}.npz"
            results.write_npz(path, vertices=mesh.vertices.astype(np.float32), faces=mesh.faces)
            report.send(Preview(report.id, str(path)))
            previews += 1
            last_preview = time.monotonic()
    return solver.finish(), steps


def _match(mesh: Mesh, inputs: Inputs, frame: HeadFrame, report: Reporter) -> Matched:
    """Stage 3: the surface where the photographs agree, without crossing faces."""
    photos, cameras = [photo.pixels for photo in inputs.photos], inputs.cameras
    matched = match_photographs(
        mesh, photos, cameras, frame, report.check, lambda done, total: report.step(done, total + 1)
    )
    mesh = untangled(mesh, matched.mesh, frame, report.check)
    report.step(1, 1)
    return replace(matched, mesh=mesh)


def _account(matched: Matched, capture: captures.Capture) -> dict[str, float | None]:
    """The report's lines about the matching."""
    moved = None if capture.unit_mm is None else round(matched.moved * capture.unit_mm, 3)
    return {"share_pct": round(100 * float((matched.confidence > 0).mean()), 2), "moved_mm": moved}


def _write(
    run: Run,
    inputs: Inputs,
    targets: list[Target],
    frame: HeadFrame,
    mesh: Mesh,
    refined: Refined | None,
    matched: Matched | None,
    steps: int,
    report: Reporter,
    solve_settings: SolveSettings,
) -> Result:
    output = Path(run.output)
    for leftover in output.glob("preview?.npz"):
        leftover.unlink(missing_ok=True)
    views = quality.measure(mesh, targets, frame, report.check)
    report.step(1, 3)
    seen = coverage(mesh, targets, check=report.check)
    errors = quality.vertex_errors(mesh, targets, views, report.check)
    report.step(2, 3)
    attributes = {"view_count": seen.view_count, "confidence": seen.confidence, "normal_error": errors}
    photos = [photo.pixels for photo in inputs.photos]
    color = texture.blend(mesh, photos, inputs.cameras, [target.mask for target in targets], frame, report.check)
    results.write_npz(output / "head.npz", vertices=mesh.vertices, faces=mesh.faces, color=color, **attributes)
    channels = {name: color[:, i] for i, name in enumerate(("red", "green", "blue"))}  # the names PLY viewers know
    report.check()
    results.write_ply(output / "head.ply", mesh.vertices, mesh.faces, **channels, **attributes)
    size_mm = _check_size(mesh, inputs.capture, report)
    mean = float(np.mean([view.normal_error_deg for view in views]))
    heading = (
        f"{inputs.capture.name}: {len(mesh.vertices):,} vertices from {len(views)} views, "
        f"normals {run.settings.normals}, mean difference {mean:.1f} degrees"
    )
    report.check()
    page = picture.run_sheet(photos, targets, views, heading)
    picture.save(page, output / "report.png")
    report.step(3, 3)
    report.end()
    body = {
        "skullptor": VERSION,
        "capture": inputs.capture.name,
        "settings": asdict(run.settings),
        "solve": asdict(solve_settings),
        "normals_provider": inputs.provider,
        "rasteriser": solve_settings.raster,
        "steps": steps,
        "finished_early": report.control.finish.is_set(),
        "seconds": report.seconds,
        "seconds_total": round(sum(report.seconds.values()), 3),
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "unit_mm": inputs.capture.unit_mm,
        "size_mm": size_mm,
        "refined": None if refined is None else refined.as_json(),
        "matched": None if matched is None else _account(matched, inputs.capture),
        "seen_pct": round(float((seen.view_count > 0).mean() * 100), 2),
        "normal_error_deg": round(mean, 3),
        "mask_iou": round(float(np.mean([view.mask_iou for view in views])), 4),
        "views": [
            {
                "name": view.name,
                "normal_error_deg": round(view.normal_error_deg, 3),
                "mask_iou": round(view.mask_iou, 4),
                "coverage_pct": round(view.coverage * 100, 2),
                "confidence": round(sure, 4),
            }
            for view, sure in zip(views, quality.view_confidence(mesh, targets, views, seen.confidence))
        ],
    }
    results.write_json(output / "report.json", body)
    return Result(run.id, str(output / "head.npz"), str(output / "report.json"), str(output / "report.png"))


def _check_size(mesh: Mesh, capture: captures.Capture, report: Reporter) -> list[float] | None:
    if capture.unit_mm is None:
        return None
    size = np.ptp(mesh.vertices, axis=0) * capture.unit_mm
    if not HEAD_MM[0] <= size.max() <= HEAD_MM[1]:
        report.warn(
            "scale",
            f"The result is {size.max() / 10:.1f} cm long, which is no human head.",
            "Check the scene's unit scale or the capture's unit_mm, unless the subject is a statue.",
        )
    return [round(float(value), 2) for value in size]

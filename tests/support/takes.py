"""A performance on disk in small pictures, and stand-ins for what needs models that are not on every machine."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bench import acting, performance
from bridge.capture.inputs import read_inputs
from bridge.capture.record import Capture, View, save
from bridge.errors import BridgeError
from bridge.model import head_model
from bridge.sequence.identity import Identity, identity_of
from bridge.sequence.track import Marks, Tracker
from bridge.wrap.regions import find_regions

SIZE, CAMERAS = 400, 6


class Take:
    """A rig with numbered pictures: folder/capture.json, folder/images/cam00/0001.png ... Frame 1 is neutral.

    weights: of each frame's shapes, by name.
    """

    def __init__(self, folder: Path, weights: list[dict[str, float]], seed: int = 2) -> None:
        self.rig, self.images = folder, folder / "images"
        self.template = head_model.load().template
        neutral = acting.act(self.template, 2, seed).vertices[0]
        names = list(self.template.expression_names)
        self.expression = np.zeros((len(weights), len(names)))
        for frame, shapes in enumerate(weights):
            for name, weight in shapes.items():
                self.expression[frame, names.index(name)] = weight
        self.vertices = neutral + np.einsum("fm,mvd->fvd", self.expression, self.template.expressions)
        centre = np.array([0, neutral[:, 1].max() - 130, neutral[:, 2].max() - 90])
        self.cameras = performance.rig(CAMERAS, centre, SIZE)
        studio = performance.Studio(self.template, neutral, self.cameras, seed)
        views = []
        for frame, vertices in enumerate(self.vertices):
            for camera, picture in zip(self.cameras, studio.photograph(vertices), strict=True):
                path = self.picture(camera.name, frame + 1)
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), picture[..., ::-1])
                if frame == 0:
                    views.append(View(camera, path))
        save(Capture("take", tuple(views), 1.0), self.rig)

    def picture(self, camera: str, number: int) -> Path:
        return self.images / camera / f"{number:04d}.png"

    def identity(self) -> Identity:
        """Of frame 1, whose wrap is the truth itself."""
        regions, head = find_regions(self.template), self.vertices[0]
        wrapped = {
            "vertices": head, "faces": self.template.faces, "part": self.template.part,
            "shapes": self.template.expressions, "shape_names": np.array(self.template.expression_names),
            "landmarks": self.template.landmarks.points(head), "landmarks_sigma": np.ones(468),
            "uv": self.template.uv, "faces_uv": self.template.faces_uv,
        }  # fmt: skip
        marked = {name: getattr(regions, name) for name in regions.__dataclass_fields__}
        inputs = read_inputs(self.rig)
        return identity_of(wrapped, self.template.landmarks, marked).with_look(inputs.cameras, inputs.pixels)

    def tracker(self) -> type[Tracker]:
        """A tracker whose landmark model answers with the truth and 2 mm of noise; it knows a frame by its picture."""
        last, truth = self.cameras[-1].name, self.vertices
        known = [cv2.imread(str(self.picture(last, frame + 1)))[..., ::-1] / 255 for frame in range(len(truth))]

        class Marked(Tracker):
            def __init__(self, identity: Identity, landmarker: object) -> None:
                super().__init__(identity, None)

            def _landmarks(self, cameras, pictures, check):
                away = [np.abs(picture - pictures[-1]).mean() for picture in known]
                if min(away) > 0.001:
                    raise BridgeError("face-none", "No two of the photographs show a face.", "Look at them.")
                vertices = truth[int(np.argmin(away))]
                marks = np.einsum("nk,nkd->nd", self.identity.weights, vertices[self.identity.corners])
                return Marks(marks + np.random.default_rng(0).normal(0, 2, marks.shape), np.full(len(marks), 2.0))

        return Marked

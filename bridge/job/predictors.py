"""Normal predictors that are made once and serve many jobs."""

from __future__ import annotations

from ..capture.normal_map import NormalPredictor
from ..normals import make_predictor
from ..service.protocol import JobSettings


class Predictors:
    """One predictor for each source of normals and device that was asked for."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], NormalPredictor] = {}

    def of(self, settings: JobSettings) -> NormalPredictor:
        key = (settings.normals, settings.device)
        if key not in self._made:
            self._made[key] = make_predictor(*key)
        return self._made[key]

    def leave_the_card(self) -> None:
        """A graphics card is shared with Blender's viewport: its memory goes back after every job."""
        for key, predictor in list(self._made.items()):
            if "CPU" not in predictor.provider:
                del self._made[key]

"""Every knob of the optimisation in one frozen record, and the presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ..raster import Backend

Loss = Literal["l1", "robust", "linear", "l2"]
Preset = Literal["draft", "standard", "fine"]
USUAL_LAPLACIAN = 0.05


@dataclass(frozen=True)
class SolveSettings:
    """Settings of one solve. Lengths are world units, images are pixels, weights have no unit."""

    steps: int = 200
    """Gradient steps, each followed by one remeshing pass."""
    resolution: int = 512
    """Pixels across the head's square crop at the finest level, but no more than the maps' longer side; coarser levels
    are derived from it."""
    max_vertices: int = 25_000
    """Upper limit of the vertex count."""
    min_edge: float | None = None
    """No edge is made shorter than this (world units); None: only the vertex limit counts."""
    learning_rate: float = 0.5
    """Step length as a share of the local edge length (paper: 0.3; 0.5 converges further in the same steps)."""
    laplacian: float = USUAL_LAPLACIAN
    """lambda_lap of Eq. 7, scaled by the vertex's speed (paper: 0.1); of the second order once the shape is there, and
    then with a least share that only less than usual lowers (schedule.least_laplacian)."""
    diffusion: int = 6
    """Rounds over which the gradient is spread to the neighbours (in the spirit of Nicolet et al. 2021, "Large steps"):
    outlines pull at a line only, and where the surface follows them in a line it keeps a seam; so broad shapes move as
    one. Fine relief takes many more steps. While vertices are few it is spread farther (schedule.py)."""
    relief: float = 0.5
    """Weight of the gradient as it is beside the diffused one; above 0 the last steps go by it alone. 0: normals whose
    relief is not worth it, because they contradict each other and the outlines."""
    loss: Loss = "l2"
    """"l2" squared difference of the normals, background 0 (default by measurement: it averages wrong normals best and
    costs little with right ones); "l1" their difference; "robust" bounded; "linear" the paper's Eq. 8."""
    mask_weight: float = 0.2
    """Weight of the squared coverage difference. Must stay above 0 for "linear", or skirts grow outside the head."""
    alpha: float = 0.0
    """Eq. 9: how much more pixels seen head-on count than grazing ones; 0 counts all alike."""
    turns: bool = True
    """Whether the views may take turns, half of them in a step of the last stage. False where one shows what no other
    does."""
    seed: int = 0
    """Orientation of the start sphere. Same seed, same machine: same mesh, bit for bit."""
    raster: Backend = "auto"
    """Rasteriser backend: auto, cpu, nvdiffrast, or one more that bridge.raster.available() lists."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.resolution < 16 or self.max_vertices < 100:
            raise ValueError("steps must be at least 1, resolution at least 16 and max_vertices at least 100")
        if self.diffusion < 0 or self.relief < 0:
            raise ValueError("diffusion and relief must be at least 0")
        if self.min_edge is not None and not self.min_edge > 0:
            raise ValueError("min_edge must be positive or None")
        if self.loss not in ("l1", "robust", "linear", "l2"):
            raise ValueError(f"unknown loss {self.loss!r}: choose l1, robust, linear or l2")
        if self.loss == "linear" and self.mask_weight <= 0:
            raise ValueError("the linear loss needs a mask_weight above 0")

    @classmethod
    def preset(cls, name: Preset, **changes) -> SolveSettings:
        """The settings behind a preset's name, with single fields changed by keyword."""
        if name not in PRESETS:
            raise ValueError(f"unknown preset {name!r}: choose {', '.join(PRESETS)}")
        return replace(PRESETS[name], **changes)


PRESETS: dict[str, SolveSettings] = {
    "draft": SolveSettings(steps=200, resolution=512, max_vertices=25_000),
    "standard": SolveSettings(steps=200, resolution=512, max_vertices=100_000),
    "fine": SolveSettings(steps=300, resolution=768, max_vertices=500_000),
}

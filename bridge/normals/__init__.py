"""The normal predictors behind one interface: the multi-view network, and DAViD's ONNX models.

No PyTorch here; ONNX Runtime is imported when a predictor is made.
"""

from __future__ import annotations

from pathlib import Path

from ..capture.normal_map import NormalPredictor

WEIGHTS = Path(__file__).resolve().parent / "weights"


def make_predictor(name: str, device: str = "auto", weights: Path | None = None) -> NormalPredictor:
    """ "network" (weights ship with the product; where DAViD's foreground model was fetched, it gives the mattes) or
    "david" (weights: a folder with DAViD's ONNX files).

    device: "auto" for the best that ONNX Runtime has here, or one by name.
    """
    from .david import DavidPredictor, Foreground
    from .sessions import weights_folder

    if name == "network":
        from .multiview import MultiViewPredictor

        foreground = Foreground.found(weights_folder("david"), device)
        return MultiViewPredictor(weights or WEIGHTS, device, foreground=foreground)
    if name == "david":
        return DavidPredictor(weights or weights_folder("david"), device)
    raise ValueError(f"There is no normal predictor '{name}'; choose network or david.")

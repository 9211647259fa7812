"""The state of a training run as one .npz of plain arrays (no pickle), written to a temporary name and renamed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .optimiser import Optimiser


@dataclass
class Progress:
    """Where a run stands. ``elapsed`` counts training seconds over all sessions."""

    step: int = 0
    views: int = 0
    elapsed: float = 0.0


@dataclass(frozen=True, eq=False)
class Learnt:
    """What training changes: the network, the running mean of its weights, and the optimiser's moments."""

    model: nn.Module
    ema: dict[str, torch.Tensor]
    optimiser: Optimiser


def save(path: Path, learnt: Learnt, progress: Progress, settings: dict) -> None:
    """Write all that a run needs to go on, atomically."""
    arrays = {f"model/{k}": v.detach().cpu().numpy() for k, v in learnt.model.state_dict().items()}
    arrays |= {f"ema/{k}": v.cpu().numpy() for k, v in learnt.ema.items()}
    for name, state in learnt.optimiser.states():
        arrays |= {f"optimiser/{name}/{k}": v.detach().cpu().numpy() for k, v in state.items()}
    note = json.dumps({"progress": asdict(progress), "settings": settings})
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, note=np.frombuffer(note.encode(), np.uint8), **arrays)
    temporary.replace(path)


def note_of(path: Path) -> dict:
    """What a checkpoint says about itself, without its weights."""
    with np.load(path) as data:
        return json.loads(data["note"].tobytes())


def load(
    path: Path,
    model: nn.Module,
    ema: dict[str, torch.Tensor] | None = None,
    optimiser: Optimiser | None = None,
) -> Progress:
    """Fill the model (and what else is given) in place."""
    with np.load(path) as data:
        model.load_state_dict({k: torch.from_numpy(data[f"model/{k}"]) for k in model.state_dict()})
        if ema is not None:
            for k, v in ema.items():
                v.copy_(torch.from_numpy(data[f"ema/{k}"]))
        if optimiser is not None:
            for name in optimiser.parameters:
                prefix = f"optimiser/{name}/"
                state = {k[len(prefix) :]: torch.from_numpy(data[k]) for k in data.files if k.startswith(prefix)}
                if state:
                    optimiser.restore(name, state)
        note = json.loads(data["note"].tobytes())
    return Progress(**note["progress"])


def load_ema(path: Path, model: nn.Module) -> Progress:
    """The averaged weights, the ones to validate and to export."""
    with np.load(path) as data:
        model.load_state_dict({k: torch.from_numpy(data[f"ema/{k}"]) for k in model.state_dict()})
        return Progress(**json.loads(data["note"].tobytes())["progress"])

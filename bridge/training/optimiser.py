"""AdamW for vectors, embeddings and heads; Muon (Jordan et al. 2024) for the matrices between."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

PRETRAINED_RATE = 0.1  # share of the rate for layers that come trained
HEADS = ("decoder.fine", "decoder.coarse")  # rows of an output head are not interchangeable: AdamW


class Optimiser:
    """Both optimisers as one, with one rate: Muon's steps are scaled to the size of AdamW's (Liu et al. 2025)."""

    def __init__(self, model: nn.Module, trained: set[str]) -> None:
        """model: in channels-last memory. trained: parameters that come trained; AdamW, at a tenth of the rate."""
        named = dict(model.named_parameters())
        matrices = [n for n, p in named.items() if p.dim() in (2, 4) and n not in trained and not n.startswith(HEADS)]
        self.parameters = {n: named[n] for n in matrices} | {n: p for n, p in named.items() if n not in matrices}
        self.views = {n: nn.Parameter(_matrix(named[n].data)) for n in matrices}
        if any(self.views[n].data_ptr() != named[n].data_ptr() for n in matrices):
            raise ValueError(
                "The optimiser wants a network in channels-last memory, whose kernels it can see as matrices."
            )
        groups = [
            {
                "params": [
                    p for n, p in named.items() if n not in self.views and (n in trained, p.dim() > 1) == (known, wide)
                ],
                "weight_decay": 0.02 if wide else 0.0,
                "share": PRETRAINED_RATE if known else 1.0,
            }
            for known in (False, True)
            for wide in (True, False)
        ]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW([g for g in groups if g["params"]], betas=(0.9, 0.98))
        ]
        if matrices:
            some = [{"params": list(self.views.values()), "share": 1.0}]
            self.parts.append(torch.optim.Muon(some, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"))

    def step(self, rate: float) -> None:
        for name, view in self.views.items():
            grad = self.parameters[name].grad
            view.grad = None if grad is None else _matrix(grad)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * group["share"]
            part.step()

    def zero_grad(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    def states(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Name and state of every parameter that has one."""
        for name, parameter in self.parameters.items():
            for part in self.parts:
                state = part.state.get(self.views.get(name, parameter))
                if state:
                    yield name, state

    def restore(self, name: str, state: dict[str, Tensor]) -> None:
        parameter = self.views.get(name, self.parameters[name])
        part = self.parts[-1 if name in self.views else 0]
        part.state[parameter] = {k: v if k == "step" else v.to(parameter.device) for k, v in state.items()}


def _matrix(weight: Tensor) -> Tensor:
    """A weight [o, i] or, channels last, [o, i, h, w] as [o, ...]; shares its memory."""
    if weight.dim() == 2:
        return weight
    return weight.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).flatten(1)

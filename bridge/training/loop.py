"""The training loop: deterministic for a seed, resumable to the step, the same on a CPU and a GPU."""

from __future__ import annotations

import csv
import math
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..normals.network import CONFIGS, NormalNetwork
from . import checkpoint
from .batches import Batch, make_batch
from .checkpoint import Progress
from .curve import draw
from .losses import losses
from .optimiser import Optimiser
from .pool import Pool, PoolPlan, start_workers
from .pretrained import fill_from_vit, vit_state
from .restore import restore
from .validation import validate, validation_groups

VIEW_COUNTS = np.array([1, 2, 3, 4, 6, 8])
VIEW_SHARES = np.array([0.08, 0.22, 0.05, 0.4, 0.1, 0.15])  # few views a head: more heads a step
STAGES = ((0.35, (96, 112)), (0.7, (112, 128)), (2.0, (128, 144, 160)))  # share of the time budget: sizes in pixels


@dataclass(frozen=True)
class TrainSettings:
    """Times in seconds. ``fixed_pace``: seconds a step counts for, instead of the clock (tests)."""

    size: str = "small"
    budget: float = 3600.0
    rate: float = 5e-4  # peak learning rate
    decay_from: float = 0.1  # share of the budget after which the rate falls (cosine) to 2 %
    warmup: int = 400  # steps
    views_per_step: int = 8
    seed: int = 1
    stages: tuple[tuple[float, tuple[int, ...]], ...] = STAGES
    validate_every: float = 720.0
    validate_size: int = 160
    validation_count: int = 12
    save_every: float = 240.0
    ema: float = 0.998
    bf16: bool = True
    fixed_pace: float = 0.0
    pool: PoolPlan = field(default_factory=lambda: PoolPlan(seed=1))


def _on(device: torch.device, network: NormalNetwork) -> NormalNetwork:
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types forget memory_format


class Trainer:
    """One run in one folder: pool/, checkpoint.npz, log.csv, validation.csv."""

    def __init__(
        self,
        settings: TrainSettings,
        out: Path,
        data: Path,
        device: str,
        workers: int,
        *,
        scans: Path | None = None,
        start: Path | None = None,
        pool: Path | None = None,
    ) -> None:
        """scans: a folder of own textured meshes. start: weights of a new run, see `start_from`. pool: that of another
        run, which fills it, with slots for all groups of both."""
        self.s, self.out, self.data, self.device = settings, out, data, torch.device(device)
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        self.model = _on(self.device, NormalNetwork(CONFIGS[settings.size]))
        trained = start_from(start, self.model) if start else set()
        self.optimiser = Optimiser(self.model, trained)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.progress = Progress()
        self.path = out / "checkpoint.npz"
        if self.path.exists():
            self.progress = checkpoint.load(self.path, self.model, self.ema, self.optimiser)
            print(f"resumed at step {self.progress.step}, {self.progress.views} views", flush=True)
        self.pool = Pool(pool or out / "pool", settings.pool, shared=pool is not None)
        self.pool.request(self.progress.step)
        self.workers = start_workers(self.pool.folder, data, workers, scans) if workers else []

    def share(self) -> float:
        return min(self.progress.elapsed / self.s.budget, 1.0)

    def rate(self) -> float:
        s, share = self.s, self.share()
        fall = max(0.0, (share - s.decay_from) / (1 - s.decay_from))
        cosine = 0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * fall))
        return s.rate * min(1.0, (self.progress.step + 1) / s.warmup) * cosine

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng([self.s.seed, step])
        low, high = self.pool.request(step)
        self.pool.wait(low, high, self.workers)
        sizes = next(sizes for end, sizes in self.s.stages if self.share() < end)
        views = min(int(rng.choice(VIEW_COUNTS, p=VIEW_SHARES)), self.pool.plan.views)
        groups = []
        for _ in range(max(1, self.s.views_per_step // views)):
            number = int(rng.integers(low, high))
            groups.append(self.pool.group(number, rng.choice(self.pool.plan.views, views, replace=False)))
        return make_batch(groups, int(rng.choice(sizes)), rng)

    def step(self) -> dict[str, float]:
        start = time.perf_counter()
        batch = self.batch(self.progress.step).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.s.bf16):
            output = self.model(
                batch.image.contiguous(memory_format=torch.channels_last), batch.quaternion, batch.distance, batch.views
            )
        terms = losses(output.float(), batch)
        self.optimiser.zero_grad()
        terms["total"].backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimiser.step(self.rate())
        keep = min(self.s.ema, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for k, v in self.model.state_dict().items():
                self.ema[k].lerp_(v, 1 - keep)
        self.progress.step += 1
        self.progress.views += len(batch.distance)
        self.progress.elapsed += self.s.fixed_pace or time.perf_counter() - start
        return {k: v.item() for k, v in terms.items()} | {"norm": float(norm), "size": float(batch.image.shape[-1])}

    def save(self) -> None:
        learnt = checkpoint.Learnt(self.model, self.ema, self.optimiser)
        checkpoint.save(self.path, learnt, self.progress, asdict(self.s))

    def close(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait()

    def run(self, seconds: float | None = None) -> None:
        """Train until the budget is used up (or for some seconds of this session)."""
        began = time.time()
        saved, logged = began, began
        signal.signal(signal.SIGTERM, _leave)
        groups = validation_groups(self.data, self.out, self.s.validation_count, 6, 256)
        last_validation, recent = self.progress.elapsed, []
        while self.progress.elapsed < self.s.budget and (seconds is None or time.time() - began < seconds):
            if _asked_to_leave:
                break
            recent.append(self.step())
            if time.time() - logged > 20:
                logged = time.time()
                self.log(recent)
                recent = []
            if time.time() - saved > self.s.save_every:
                saved = time.time()
                self.save()
            if self.progress.elapsed - last_validation > self.s.validate_every:
                last_validation = self.progress.elapsed
                self.validate(groups)
        self.save()
        if not _asked_to_leave:
            self.validate(groups)

    def log(self, recent: list[dict[str, float]]) -> None:
        mean = {k: float(np.mean([r[k] for r in recent])) for k in recent[0]}
        p = self.progress
        row = {"step": p.step, "views": p.views, "elapsed": round(p.elapsed, 1), "rate": self.rate()} | mean
        _append(self.out / "log.csv", row)
        print(
            f"step {p.step} views {p.views} {p.elapsed:.0f}s lr {self.rate():.1e} "
            + " ".join(f"{k} {v:.3f}" for k, v in mean.items()),
            flush=True,
        )

    def validate(self, groups: dict[str, list[dict]]) -> None:
        if not hasattr(self, "judge"):
            self.judge = _on(self.device, NormalNetwork(CONFIGS[self.s.size]))
        self.judge.load_state_dict(self.ema)
        row = {"step": self.progress.step, "views": self.progress.views, "elapsed": round(self.progress.elapsed, 1)}
        for name, some in groups.items():
            score = validate(self.judge, some, self.s.validate_size, self.device)
            print("   ", score.line(name), flush=True)
            row |= {f"{name}_{k}": v for k, v in asdict(score).items()}
        _append(self.out / "validation.csv", row)
        draw(self.out)


def start_from(path: Path, model: NormalNetwork) -> set[str]:
    """Fill a new run's network: a .safetensors ViT (its names are returned: they learn more slowly), or a record of
    exported weights (NAME.json; all learn at one rate)."""
    if path.suffix == ".json":
        restore(path, model)
        return set()
    return fill_from_vit(model, vit_state(path))


_asked_to_leave: list[int] = []


def _leave(number: int, _frame: object) -> None:
    """A polite end: the loop saves after the step in hand."""
    _asked_to_leave.append(number)


def _append(path: Path, row: dict) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)

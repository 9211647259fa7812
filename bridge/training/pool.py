"""A ring of rendered groups on disk, filled by worker processes and read by the training loop.

Group g is a pure function of its number and the seed. Step s may only use groups below ``high(s)``, a function of s
alone, so the order of training does not depend on how fast the workers are: the loop waits for them instead.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .group import Group, World, make_group

FIELDS = {"image": (3, np.uint8), "normal": (3, np.int8), "canonical": (3, np.int8), "matte": (0, np.uint8)}


PATIENCE = 600.0  # seconds for another run's generator to make a group


@dataclass(frozen=True)
class PoolPlan:
    """slots * views * size^2 * 10 bytes on disk."""

    seed: int
    size: int = 192
    views: int = 8
    slots: int = 700
    window: int = 600  # a step uses the last ``window`` groups
    warm: int = 300  # groups before the first step: a trained network learns fewer by heart
    per_step: float = 0.6  # new groups a step

    def high(self, step: int) -> int:
        return self.warm + int(step * self.per_step)


class Pool:
    """Memory-mapped arrays [slots, views, ...] and the number of the group in every slot."""

    def __init__(self, folder: Path, plan: PoolPlan, shared: bool = False) -> None:
        """shared: another run fills it."""
        self.folder, self.plan, self.shared = folder, plan, shared
        folder.mkdir(parents=True, exist_ok=True)
        record = folder / "plan.json"
        if record.exists() and json.loads(record.read_text()) != asdict(plan):
            raise ValueError(f"The pool in {folder} was made with other settings; delete it or choose another --out.")
        record.write_text(json.dumps(asdict(plan)))
        m, s = plan.views, plan.size
        self.arrays = {
            name: self._open(name, (plan.slots, m, s, s) + ((channels,) if channels else ()), dtype)
            for name, (channels, dtype) in FIELDS.items()
        }
        self.arrays["rotation"] = self._open("rotation", (plan.slots, m, 3, 3), np.float32)
        self.arrays["distance"] = self._open("distance", (plan.slots, m), np.float32)
        self.held = self._open("held", (plan.slots,), np.int64)  # group number + 1; 0: nothing
        self.limit = self._open("limit", (1,), np.int64)  # groups below this may be made

    def _open(self, name: str, shape: tuple[int, ...], dtype) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        if not path.exists():
            np.lib.format.open_memmap(path, "w+", dtype, shape).flush()
        return np.load(path, mmap_mode="r+")

    def write(self, number: int, group: Group) -> None:
        slot = number % self.plan.slots
        self.held[slot] = 0
        for name, array in self.arrays.items():
            array[slot] = getattr(group, name)
        self.held[slot] = number + 1

    def ready(self, number: int) -> bool:
        return int(self.held[number % self.plan.slots]) == number + 1

    def wanted(self, number: int) -> bool:
        """Whether a worker should make a group now. A resumed run starts before the newest groups: what its window
        lacks is made again, whatever the slot holds."""
        limit = int(self.limit[0])
        return limit - self.plan.slots <= number < limit and not self.ready(number)

    def group(self, number: int, views: np.ndarray) -> dict[str, np.ndarray]:
        slot = number % self.plan.slots
        return {name: np.array(array[slot][views]) for name, array in self.arrays.items()}

    def request(self, step: int) -> tuple[int, int]:
        """Range of groups a step may use; lets workers go on up to what does not overwrite them."""
        high = self.plan.high(step)
        low = max(0, high - self.plan.window)
        self.limit[0] = low + self.plan.slots
        return low, high

    def wait(self, low: int, high: int, workers: list[subprocess.Popen]) -> None:
        missing = [g for g in range(low, high) if not self.ready(g)]
        end = time.monotonic() + PATIENCE
        while missing:
            if any(w.poll() not in (None, 0) for w in workers) or not (workers or self.shared):
                raise RuntimeError("A generator process ended; its message is in generator.log beside the pool.")
            if self.shared and time.monotonic() > end:
                raise RuntimeError(
                    f"The run that fills {self.folder} has not made group {missing[0]} for ten minutes; see that it "
                    "is running and that it began with --slots for all its groups."
                )
            time.sleep(0.2)
            missing = [g for g in missing if not self.ready(g)]


def start_workers(folder: Path, data: Path, count: int, scans: Path | None = None) -> list[subprocess.Popen]:
    """Generator processes at the lowest priority; they end with their parent."""
    log = (folder / "generator.log").open("a")  # the children own it
    command = [sys.executable, "-m", "bridge.training.pool", str(folder), str(data), str(scans or "-"), str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return [
        subprocess.Popen([*command, str(i)], stdout=log, stderr=log, env=environment, stdin=subprocess.DEVNULL)
        for i in range(count)
    ]


def work(folder: Path, data: Path, scans: Path | None, count: int, index: int) -> None:
    """Fill the ring with the groups number = index (mod count), as far as the training loop allows."""
    import cv2

    cv2.setNumThreads(1)
    parent = os.getppid()
    plan = PoolPlan(**json.loads((folder / "plan.json").read_text()))
    pool, world = Pool(folder, plan), World.load(data, scans=scans)
    number = index
    while os.getppid() == parent:
        if number >= int(pool.limit[0]):
            time.sleep(0.3)
            continue
        if pool.wanted(number):
            pool.write(number, make_group(plan.seed * 1_000_003 + number, world, plan.views, plan.size))
        number += count


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(4)
    folder, data, scans, count, index = sys.argv[1:]
    work(Path(folder), Path(data), None if scans == "-" else Path(scans), int(count), int(index))

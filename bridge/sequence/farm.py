"""Frames as tasks: one after the other in this process, or on warm Ray actors of this machine or of a cluster.

A task is a frame's number and its answer an Outcome: pictures and meshes go from disk to disk. A worker that dies is
started again and its frame given out again; finished frames lie in the store and are never touched by it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BridgeError, Cancelled
from ..service.wire import Control
from .store import Failure, Outcome

RETRIES = 3  # of a frame whose worker died
WAIT_SECONDS = 0.5  # between looks at whether the user has asked for the end
PROBE_SECONDS = 5.0
PORTS = {"ray": 10001, "gcs": 6379}  # where a cluster listens if nothing else is said
ROOT = Path(__file__).resolve().parents[2]

FrameWorker = Any  # has frame(number, control) -> Outcome
Make = Callable[[], FrameWorker]


@dataclass(frozen=True)
class Farm:
    """Where frames are solved. workers 0: in this process."""

    workers: int = 0
    address: str = ""  # of a Ray cluster; a cluster of this machine alone if empty

    def run(self, make: Make, numbers: Sequence[int], control: Control) -> Iterator[Outcome]:
        """The outcome of every frame, in the order in which they are finished. make: a new worker, where it works.

        Raises BridgeError "output" (the disk is full), "farm-missing", "farm-address"; Cancelled.
        """
        if not self.workers and not self.address:
            return alone(make, numbers, control)
        return together(make, numbers, control, self)


def alone(make: Make, numbers: Sequence[int], control: Control) -> Iterator[Outcome]:
    """One frame after the other in this process."""
    worker = make()
    for number in numbers:
        if control.cancel.is_set():
            raise Cancelled
        yield worker.frame(number, control)


class Actor:
    """A worker in a process of its own, which lives as long as the run."""

    def __init__(self, make: Make) -> None:
        self._worker = make()

    def frame(self, number: int) -> Outcome | BridgeError:
        try:
            return self._worker.frame(number)
        except BridgeError as error:  # travels as a value: an exception of ours would be wrapped on its way
            return BridgeError(error.code, error.sentence, error.cure)

    def process(self) -> int:
        return os.getpid()


def together(make: Make, numbers: Sequence[int], control: Control, farm: Farm) -> Iterator[Outcome]:
    """Frames on Ray actors: each holds one frame at a time, the next goes to whoever is free."""
    ray = join(farm)
    try:
        count = min(farm.workers or max(1, int(ray.cluster_resources().get("CPU", 1))), len(numbers))
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)) // count)
        options = {
            "num_cpus": 0 if farm.workers else 1,
            "max_restarts": -1,
            "max_task_retries": RETRIES,
            "runtime_env": {"env_vars": surroundings(cores)},
        }
        actor = ray.remote(**options)(Actor)
        free = [actor.remote(make) for _ in range(count)]
        left = list(reversed(numbers))
        busy: dict[Any, tuple[Any, int]] = {}  # task -> its actor and frame
        while left or busy:
            if control.cancel.is_set():
                raise Cancelled
            while left and free:
                worker, number = free.pop(), left.pop()
                busy[worker.frame.remote(number)] = worker, number
            ready, _ = ray.wait(list(busy), num_returns=1, timeout=WAIT_SECONDS)
            for task in ready:
                worker, number = busy.pop(task)
                try:
                    outcome = ray.get(task)
                except ray.exceptions.RayActorError:
                    outcome = lost(number)
                    worker = actor.remote(make)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause if isinstance(error.cause, Exception) else error from None
                free.append(worker)
                if isinstance(outcome, BridgeError):
                    raise outcome
                yield outcome
    finally:
        ray.shutdown()


def join(farm: Farm):  # noqa: ANN201  the module, or its client's
    """Ray, connected. Raises BridgeError "farm-missing" and "farm-address"."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_worker_niceness", "0")  # else a busy machine starves them while imports run
    try:
        import ray
    except ModuleNotFoundError:
        raise BridgeError(
            "farm-missing",
            "This Python lacks Ray, which several workers need.",
            "Install it with pip install '.[bridge,farm]', or leave out --workers and --ray.",
        ) from None
    if farm.address:
        probe(farm.address)
    options: dict[str, Any] = {"address": farm.address} if farm.address else {"num_cpus": os.cpu_count()}
    if not farm.address:
        options |= {"include_dashboard": False, "object_store_memory": 100 << 20}
    try:
        ray.init(logging_level="ERROR", log_to_driver=False, **options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise no_cluster(farm.address, str(error)) from None
    return ray


def probe(address: str) -> None:
    """Whether anything listens at "host:port" or "ray://host:port"; Ray itself would try for minutes."""
    if address in ("auto", "local"):
        return
    scheme, _, rest = address.rpartition("://")
    host, _, port = rest.partition(":")
    try:
        number = int(port) if port else PORTS["ray" if scheme else "gcs"]
        socket.create_connection((host, number), PROBE_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise no_cluster(address, getattr(error, "strerror", None) or str(error)) from None


def no_cluster(address: str, reason: str) -> BridgeError:
    """The refusal of an address where no cluster answers."""
    line = " ".join(reason.split())[:200].rstrip(".")
    return BridgeError(
        "farm-address",
        f"No Ray cluster answers at '{address or 'this machine'}': {line}.",
        "Start one with 'ray start --head' and give the address that it prints, or use --workers.",
    )


def surroundings(cores: int) -> dict[str, str]:
    """Environment of a worker: where the program lies, and its share of the cores."""
    threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), str(cores))
    return {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", **threads}


def lost(number: int) -> Outcome:
    """A frame that ended its worker every time it was tried."""
    return Outcome(
        number,
        0.0,
        Failure(
            number,
            "worker-died",
            f"The worker of frame {number} died {RETRIES + 1} times, most likely for lack of memory.",
            "Use fewer workers or a lower preset, then give the same command with --resume.",
        ),
    )

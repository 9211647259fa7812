"""What a farm costs beside the work: simulated workers on Ray that sleep as long as a frame takes.

    python -m bench.farm OUT [--workers 4 16 64] [--frames 1000] [--seconds 1.0]

Overhead: what a worker waits between two of its frames, the store's writing included. Efficiency: the share of its time
that it works, from its first frame to its last; the start of the processes is told apart. Tests use these workers too.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from bridge.sequence.farm import Farm
from bridge.sequence.store import Outcome, Store
from bridge.service.wire import Control


@dataclass
class Sleeper:
    """A worker that writes one small file a frame into a real store."""

    output: str
    seconds: float = 0.0
    deadly: int = -1  # this frame ends its worker
    times: int = 1  # as often as this

    def frame(self, number: int, control: object = None) -> Outcome:
        store = Store(Path(self.output))
        if store.done(number, "key"):
            return Outcome(number, 0.0, kept=True)
        began = time.monotonic()
        time.sleep(self.seconds)
        if number == self.deadly:
            deaths = Path(self.output) / "deaths"
            with deaths.open("a") as file:
                file.write("x")
            if deaths.stat().st_size <= self.times:
                os.kill(os.getpid(), signal.SIGKILL)
        with store.work(number, "key") as folder:
            (folder / "result.txt").write_text(f"frame {number}")
        with (Path(self.output) / "log.txt").open("a") as file:  # one short line: whole or not at all
            file.write(f"{number} {os.getpid()} {time.time():.4f}\n")
        return Outcome(number, time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    print("workers  frames  start s  efficiency  overhead a frame ms")
    for workers in options.workers:
        folder = options.output / str(workers)
        Store(folder).claim()
        make = functools.partial(Sleeper, str(folder.resolve()), options.seconds)
        began = time.time()
        for _ in Farm(workers).run(make, range(options.frames), Control()):
            pass
        log = [line.split() for line in (folder / "log.txt").read_text().splitlines()]
        ends: dict[str, list[float]] = {}
        for _, process, moment in log:
            ends.setdefault(process, []).append(float(moment))
        gaps = [after - before for own in ends.values() for before, after in zip(own, own[1:])]
        start = max(own[0] for own in ends.values()) - began
        overhead = 1000 * (sum(gaps) / len(gaps) - options.seconds)
        efficiency = options.seconds * len(gaps) / sum(gaps)
        print(f"{workers:7}  {len(log):6}  {start:7.1f}  {efficiency:10.3f}  {overhead:19.1f}", flush=True)


if __name__ == "__main__":
    main()

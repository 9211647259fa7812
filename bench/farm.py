"""What a farm costs beside the work: simulated workers on Ray that sleep as long as a frame takes.

    python -m bench.farm OUT [--workers 4 16 64] [--frames 1000] [--seconds 1.0]

Efficiency: frames times seconds over workers times the time, from when the last of the processes is at work. Overhead:
what a worker waits between two of its frames. The store's writing is part of both. Tests use these workers too.
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
    print("workers  frames  start s  run s  efficiency  overhead a frame ms")
    for workers in options.workers:
        folder = options.output / str(workers)
        Store(folder).claim()
        make = functools.partial(Sleeper, str(folder.resolve()), options.seconds)
        began = time.time()
        for _ in Farm(workers).run(make, range(options.frames), Control()):
            pass
        log = [line.split() for line in (folder / "log.txt").read_text().splitlines()]
        # from when the last process has been started and has finished its first frame
        start = max(next(i for i, line in enumerate(log) if line[1] == name) for name in {line[1] for line in log})
        first, rest = float(log[start][2]), log[start + 1 :]
        spent = float(rest[-1][2]) - first
        efficiency = len(rest) * options.seconds / (workers * spent)
        overhead = 1000 * (workers * spent / len(rest) - options.seconds)
        print(
            f"{workers:7}  {len(rest):6}  {first - began:7.1f}  {spent:5.1f}  {efficiency:10.3f}  {overhead:19.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

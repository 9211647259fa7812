"""python -m bench.cancel CAPTURE [--presets draft standard] [--points 20]: how long Cancel takes, in the real bridge.

A run is cancelled at moments drawn evenly over its length; each time the bridge predicts anew. What is timed goes from
the message on the pipe to the bridge's Done, so it holds all that the artist waits for but one tick of the window. The
processor time that the bridge still takes in between (Linux) does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bridge.service import protocol

ROOT = Path(__file__).resolve().parents[1]


class Bridge:
    """`python -m bridge serve` as the add-on runs it; its messages in a queue."""

    def __init__(self, cache: Path) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-u", "-m", "bridge", "serve", "--cache", str(cache)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.messages: queue.Queue[protocol.Message] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.say(protocol.Hello())
        self.messages.get(timeout=60)

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.messages.put(protocol.decode(line.decode()))

    def say(self, message: protocol.Message) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(protocol.encode(message).encode())
        self.child.stdin.flush()

    def processor_seconds(self) -> float:
        """Of all its threads since its start; 0 where the system does not tell."""
        try:
            fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def leave(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()
        self.child.wait(30)


def run(bridge: Bridge, name: str, capture: Path, output: Path, preset: str, after: float | None) -> dict:
    """One job, cancelled so many seconds after its start (None: played to its end)."""
    settings = protocol.JobSettings(preset=preset)
    bridge.say(protocol.Run(name, str(capture), str(output), settings))
    began, stage, cancelled = time.monotonic(), "Starting", None
    while True:
        wait = 600.0 if after is None or cancelled else max(0.0, began + after - time.monotonic())
        try:
            message = bridge.messages.get(timeout=wait)
        except queue.Empty:
            cancelled, spent = time.monotonic(), bridge.processor_seconds()
            bridge.say(protocol.Cancel(name))
            continue
        if isinstance(message, protocol.Progress) and cancelled is None:
            stage = message.stage
        if isinstance(message, protocol.Error):
            raise SystemExit(f"{message.sentence} {message.cure}")
        if isinstance(message, protocol.Done):
            break
    latency = None if cancelled is None else time.monotonic() - cancelled
    worked = None if cancelled is None else bridge.processor_seconds() - spent
    return {
        "preset": preset,
        "stage": stage,
        "after": after,
        "seconds": time.monotonic() - began,
        "latency": latency,
        "processor": worked,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.cancel", description=__doc__)
    parser.add_argument("capture", type=Path)
    parser.add_argument("--presets", nargs="+", default=["draft", "standard"])
    parser.add_argument("--points", type=int, default=20, help="cancelled runs of each preset")
    parser.add_argument("--seconds", type=float, help="how long a run takes, if known")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures go as well")
    options = parser.parse_args(argv)
    place = Path(tempfile.mkdtemp(prefix="skullptor-cancel-"))
    bridge, dice, rows = Bridge(place / "cache"), random.Random(options.seed), []
    print(f"{'preset':10}{'cancelled at':>13}{'in stage':>22}{'latency':>10}{'processor':>12}")
    try:
        for preset in options.presets:
            whole = options.seconds
            for name in () if whole else ("first", "whole"):  # the first one also loads, or compiles, the solver
                shutil.rmtree(place / "cache", ignore_errors=True)
                whole = run(bridge, f"{preset}-{name}", options.capture, place / "out", preset, None)["seconds"]
            for i in range(options.points):
                shutil.rmtree(place / "cache", ignore_errors=True)
                after = whole * (i + dice.random()) / options.points
                row = run(bridge, f"{preset}-{i}", options.capture, place / "out", preset, after)
                if row["latency"] is None:
                    continue  # it was faster than the first and done before
                rows.append(row)
                print(
                    f"{preset:10}{after:11.2f} s{row['stage']:>22}{row['latency']:8.3f} s{row['processor']:10.2f} s",
                    flush=True,
                )
    finally:
        bridge.leave()
        shutil.rmtree(place, ignore_errors=True)
    print()
    for preset in options.presets:
        times = [row["latency"] for row in rows if row["preset"] == preset]
        work = [row["processor"] for row in rows if row["preset"] == preset]
        print(
            f"{preset}: {len(times)} runs, median {statistics.median(times):.3f} s, longest {max(times):.3f} s; "
            f"processor median {statistics.median(work):.2f} s, longest {max(work):.2f} s"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m bench.cold [CAPTURE] [--preset draft]: the first run of a machine, and how long it ever says nothing new.

The bridge runs as the add-on runs it, with empty folders for compiled kernels and stages. What the panel would show is
read off its messages: the words of the stage, the bar in whole percent, the seconds left. The longest time in which
none of them changes should stay below 5 s (the panel also counts the seconds of the run, so its words change once a
second in any case). Beside the clock: the processor seconds that the bridge took meanwhile, which other programs on the
machine do not lengthen; on two free cores the wait is between half of them and all of them.
"""

from __future__ import annotations

import argparse
import os
import queue
import tempfile
import time
from pathlib import Path

from bridge.service import protocol

from .cancel import ROOT, Bridge


def main() -> int:
    """Print one row a stage and the longest pause; the exit code is 1 where the run failed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.cold", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("capture", type=Path, nargs="?", default=ROOT / "demo" / "capture")
    parser.add_argument("--preset", choices=protocol.PRESETS, default="draft")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skullptor-cold-") as folder:
        os.environ["NUMBA_CACHE_DIR"] = str(Path(folder) / "kernels")
        (Path(folder) / "kernels").mkdir()
        began = time.monotonic()
        bridge = Bridge(Path(folder) / "cache")
        print(f"greeting after {time.monotonic() - began:.1f} s", flush=True)
        settings = protocol.JobSettings(preset=options.preset)
        bridge.say(protocol.Run("cold", str(options.capture), str(Path(folder) / "out"), settings))
        shown, since, cpu, ok = "", time.monotonic(), bridge.processor_seconds(), False
        pauses: dict[str, tuple[float, float]] = {}  # stage -> seconds by the clock, of the processor
        while True:
            try:
                message = bridge.messages.get(timeout=600)
            except queue.Empty:
                break
            if isinstance(message, protocol.Done):
                ok = message.ok
                break
            if not isinstance(message, protocol.Progress):
                continue
            left = "" if message.eta_s is None else f"{message.eta_s:.0f}"
            text = f"{message.stage} {message.fraction:.0%} {left}"
            if text != shown:
                now, used = time.monotonic(), bridge.processor_seconds()
                stage = shown.rpartition("%")[0].rpartition(" ")[0] or "before the first word"
                clock, processor = pauses.get(stage, (0.0, 0.0))
                pauses[stage] = max(clock, now - since), max(processor, used - cpu)
                shown, since, cpu = text, now, used
        print(" clock  processor  longest without a change of text or bar")
        for stage, (clock, processor) in pauses.items():
            print(f"{clock:5.1f} s  {processor:7.1f} s  {stage}")
        print(f"the run took {time.monotonic() - began:.1f} s and {'made a head' if ok else 'FAILED'}")
        bridge.child.kill()
    return 0 if ok else 1


if __name__ == "__main__":
    raise SystemExit(main())

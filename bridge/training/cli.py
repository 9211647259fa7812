"""`python -m bridge train` and `python -m bridge export`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def train_main(argv: list[str]) -> int:
    """Train until the time is used up; run again to go on from the last checkpoint. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="bridge train", description=train_main.__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/small"), help="the run (default %(default)s)")
    parser.add_argument("--data", type=Path, required=True, help="folder of ict_facekit.npz and training_heads/")
    parser.add_argument("--minutes", type=float, default=60.0, help="whole budget; the rate falls to its end")
    parser.add_argument("--size", choices=("tiny", "small", "large"), default="small")
    parser.add_argument("--alone", action="store_true", help="the ablation's twin: no attention across views")
    parser.add_argument("--scans", type=Path, help="folder of own textured heads (.glb, .obj, .ply; y up, face to +z)")
    parser.add_argument(
        "--start", type=Path, help="of a new run: exported weights (NAME.json), or timm's ViT as .safetensors for large"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0: its own choice")
    parser.add_argument("--workers", type=int, default=1, help="processes that render training views")
    parser.add_argument("--views-per-step", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--slots", type=int, default=700, help="groups kept on disk, 3 MB each")
    parser.add_argument("--per-step", type=float, default=0.6, help="new groups a step")
    parser.add_argument(
        "--pool",
        type=Path,
        help="pool/ of a run under way or done, for the same views (a twin's): wants as many slots as groups",
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    import torch

    from .loop import PoolPlan, Trainer, TrainSettings

    if args.threads:
        torch.set_num_threads(args.threads)
    plan = PoolPlan(seed=args.seed, slots=args.slots, window=args.slots * 6 // 7, per_step=args.per_step)
    settings = TrainSettings(
        size=args.size + ("_alone" if args.alone else ""),
        budget=60 * args.minutes,
        rate=args.rate,
        seed=args.seed,
        views_per_step=args.views_per_step,
        pool=plan,
    )
    try:
        trainer = Trainer(
            settings, args.out, args.data, args.device, args.workers, scans=args.scans, start=args.start, pool=args.pool
        )
        try:
            trainer.run()
        finally:
            trainer.close()
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def export_main(argv: list[str]) -> int:
    """Write a run's averaged weights as ONNX, with their checksums, where the predictor finds them."""
    parser = argparse.ArgumentParser(prog="bridge export", description=export_main.__doc__)
    parser.add_argument("--run", type=Path, default=Path("runs/small"), help="the run (default %(default)s)")
    parser.add_argument("--out", type=Path, help="folder of the weights (default: those that ship)")
    parser.add_argument("--name", default="skullptor_small")
    parser.add_argument("--input", type=int, default=160, help="pixels of the head camera, a multiple of 16")
    parser.add_argument("--coarse", type=int, default=0, help="pixels of a second run for the broad shapes; 0: none")
    args = parser.parse_args(argv)
    from ..normals import WEIGHTS
    from .export import export_checkpoint

    try:
        for name, pixels in (("input", args.input), ("coarse", args.coarse)):
            if pixels % 16:
                raise ValueError(f"--{name} {pixels} is not a multiple of 16; choose 128, 160 or 192.")
        record = export_checkpoint(args.run / "checkpoint.npz", args.out or WEIGHTS, args.name, args.input, args.coarse)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(record)
    return 0


if __name__ == "__main__":
    sys.exit(train_main(sys.argv[1:]))

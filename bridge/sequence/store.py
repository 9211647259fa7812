"""Where finished frames lie: OUT/frames/0007 whole or not at all, OUT/failed/0007.json with the reason and its cure."""

from __future__ import annotations

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import BridgeError
from ..files import atomic, claim_folder, unwritable

FRAMES, FAILED, WORK = "frames", "failed", "work"
BODY = "frame.json"


@dataclass(frozen=True)
class Failure:
    """Why a frame has no result."""

    number: int
    code: str
    sentence: str
    cure: str


@dataclass(frozen=True)
class Outcome:
    """How it went with one frame: solved now, there already, or failed with a reason."""

    number: int
    seconds: float
    failure: Failure | None = None
    kept: bool = False  # it was there already


class Store:
    """The output folder of a sequence. Several processes, also of several machines, may write frames to it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def claim(self) -> None:
        """Make the folders and prove that they can be written. Raises BridgeError "output"."""
        for name in (FRAMES, FAILED, WORK):
            claim_folder(self.folder / name)

    def place(self, number: int) -> Path:
        return self.folder / FRAMES / f"{number:04d}"

    def done(self, number: int, key: str) -> bool:
        """Whether the frame is finished, of these inputs and settings."""
        return self.key(number) == key

    def key(self, number: int) -> str | None:
        """What the finished frame was made of, None where there is none."""
        body = self.body(number)
        return None if body is None else str(body.get("key"))

    def body(self, number: int) -> dict | None:
        """frame.json of a finished frame."""
        try:
            return dict(json.loads((self.place(number) / BODY).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None

    def finished(self) -> list[int]:
        """Numbers of all finished frames, in order."""
        folder = self.folder / FRAMES
        return sorted(int(path.parent.name) for path in folder.glob(f"*/{BODY}") if path.parent.name.isdigit())

    @contextlib.contextmanager
    def work(self, number: int, key: str) -> Iterator[Path]:
        """An empty folder for a frame's files, which becomes the frame when the block ends well.

        Raises BridgeError "output" when the disk refuses; what an exception leaves behind is removed.
        """
        folder = self.folder / WORK / f"{number:04d}-{uuid.uuid4().hex[:12]}"
        try:
            folder.mkdir(parents=True)
            yield folder
            self._publish(number, key, folder)
        except OSError as error:
            raise unwritable(folder, error) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _publish(self, number: int, key: str, folder: Path) -> None:
        """The frame's files under their final name, in one rename."""
        body = {"frame": number, "key": key}
        with contextlib.suppress(FileNotFoundError):
            body |= json.loads((folder / BODY).read_text(encoding="utf-8"))
        with atomic(folder / BODY) as temporary:
            temporary.write_text(json.dumps(body, indent=1), encoding="utf-8")
        target = self.place(number)
        old = folder.with_name(f"{folder.name}-old")
        with contextlib.suppress(FileNotFoundError):
            target.rename(old)  # a folder that holds files cannot be renamed onto
        folder.rename(target)
        shutil.rmtree(old, ignore_errors=True)
        (self.folder / FAILED / f"{number:04d}.json").unlink(missing_ok=True)

    def fail(self, failure: Failure) -> None:
        """Note why a frame has no result. Raises BridgeError "output"."""
        with atomic(self.folder / FAILED / f"{failure.number:04d}.json") as temporary:
            temporary.write_text(json.dumps(asdict(failure), indent=1, ensure_ascii=False), encoding="utf-8")

    def failures(self) -> list[Failure]:
        """All frames without a result, in order."""
        found = []
        for path in sorted((self.folder / FAILED).glob("*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError):
                found.append(Failure(**json.loads(path.read_text(encoding="utf-8"))))
        return sorted(found, key=lambda failure: failure.number)

    def sweep(self) -> None:
        """Remove what killed processes of this machine have left half done; only for whoever works here alone."""
        for path in (self.folder / WORK).glob("*"):
            shutil.rmtree(path, ignore_errors=True)


def full(error: BridgeError) -> BridgeError:
    """A disk that refuses ends the run: what to do, so that nothing is lost."""
    return BridgeError("output", error.sentence, "Make room on the disk, then give the same command with --resume.")

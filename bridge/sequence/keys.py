"""Key frames beside the first one: extremes of the performance, which show what it hides, shut lids and inner lips.

They are chosen by coefficients of a first look at evenly spaced frames. Each is followed from the first one, gets its
own whole reconstruction, and the template is laid on that from where it was followed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..capture.cameras import Similarity
from ..capture.inputs import Inputs, read_inputs
from ..errors import BridgeError, Check
from ..files import atomic
from ..head.canonical import similarity
from ..head.landmarks import Landmarker
from ..job.wrap import Head, seen_by, sure, with_landmarks
from ..model.load import load_template
from ..model.package import LANDMARKS, need
from ..report.results import read_ply
from ..service.wire import Control
from ..wrap.deform import ROUNDS, deform
from ..wrap.fit import inverse
from ..wrap.regions import find_regions
from ..wrap.scan import Scan
from .frames import Frame
from .identity import Identity, load_identity
from .key_frame import FILE, KEY_FOLDER, key_identity
from .plan import Plan
from .solve import LOST, Reconstruction
from .store import Store
from .track import Tracked, Tracker, placed

AUTO = "auto"
MOST = 5  # key frames of an automatic choice, the first one among them
SURVEY = 40  # frames that a choice looks at
FAR = 1.0  # length of the difference of weights from every other key frame that makes one worth its time
STRANGE = 2.0  # a frame that looks so much less like the key frame than usual may be followed wrongly
LAY = ROUNDS[-1:]  # of the wrap's vertex stage; more of them let the template slide

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """Which key frames there shall be."""

    first: int
    text: str = AUTO  # "auto", how many in all, or the numbers of the others: "40,72"

    def others(self) -> list[int] | None:
        """The frames that are named; None where so many() are to be chosen."""
        return sorted({int(part) for part in self.text.split(",") if part.strip()}) if "," in self.text else None

    def so_many(self) -> int:
        """Key frames beside the first one."""
        return (MOST if self.text == AUTO else int(self.text)) - 1


def wanted(first: int, text: str, frames: Sequence[Frame]) -> Wanted:
    """Raises BridgeError "frames-range" where the text is none or names frames that are not there."""
    there = {frame.number for frame in frames}
    found = Wanted(first, text.strip())
    try:
        named = [first, *(found.others() or [])]
        if found.others() is None and found.so_many() < 0:
            raise ValueError
    except ValueError:
        cure = "Write auto, how many there shall be, such as 1 or 4, or their numbers, such as 40,72."
        raise BridgeError("frames-range", f"'{text}' names no key frames.", cure) from None
    if missing := [number for number in named if number not in there]:
        raise BridgeError("frames-range", f"There is no frame {missing[0]} here.", "Choose key frames that are there.")
    return found


def identity_file(plan: Plan, store: Store, keys: Wanted, control: Control, tell: Tell) -> Path:
    """Solve all key frames, unless that is done; the file of who performs. Raises BridgeError, Cancelled."""
    source, path = plan.open(), store.folder / FILE
    tell(f"Key frame {keys.first}")
    first = key_identity(plan, store, keys.first, control)
    mark = path.with_name(f"{FILE}.key")
    signature = [plan.key(source, keys.first), keys.text]

    def inputs(numbers: Sequence[int]) -> list[list]:
        return [[number, plan.key(source, number)] for number in numbers]

    try:
        before, made = json.loads(mark.read_text(encoding="utf-8"))
        if path.is_file() and before == signature and made == inputs([number for number, _ in made]):
            return path
    except (OSError, ValueError, TypeError):
        pass  # not made yet, or by an earlier version
    follower = Follower(plan, load_identity(first), control)
    numbers = keys.others()
    if numbers is None:
        numbers = follower.chosen([frame.number for frame in source.frames], keys, tell)
    identity = follower.identity
    kept = []
    for number in [number for number in numbers if number != keys.first]:
        tell(f"Key frame {number}")
        try:
            identity = follower.with_key(identity, number)
            kept.append(number)
        except BridgeError as error:
            if error.code == "output":
                raise
            tell(f"Key frame {number} is left out: {error.sentence}")
    identity.save(path)
    with atomic(mark) as temporary:
        temporary.write_text(json.dumps([signature, inputs(kept)]), encoding="utf-8")
    return path


@dataclass(frozen=True, eq=False)
class Followed:
    """What a first look found of a frame."""

    number: int
    expression: np.ndarray  # [m]
    unlike: float  # mean difference of look


def extremes(found: Sequence[Followed], count: int) -> list[int]:
    """Numbers of at most so many frames, each as far as possible from neutral and from those before it."""
    usual = float(np.median([frame.unlike for frame in found])) if found else 0.0
    left = [frame for frame in found if frame.unlike <= min(STRANGE * usual, LOST)]
    if not left:
        return []
    weights = np.stack([frame.expression for frame in left])
    away = np.linalg.norm(weights, axis=1)
    chosen: list[int] = []
    while len(chosen) < count and away.max() >= FAR:
        best = int(away.argmax())
        chosen.append(left[best].number)
        away = np.minimum(away, np.linalg.norm(weights - weights[best], axis=1))
    return sorted(chosen)


class Follower:
    """Follows frames from the first key frame."""

    def __init__(self, plan: Plan, identity: Identity, control: Control) -> None:
        self.identity, self.control = identity, control
        self._source, self._store = plan.open(), Store(Path(plan.output) / KEY_FOLDER)
        self._store.claim()
        # what is reconstructed is the dense head alone: on an extreme a template finds its place from where it was
        self._plan = replace(plan, identity="", dense=True, settings=replace(plan.settings, wrap=""))
        self._template = plan.settings.wrap
        self._check: Check = control.check
        self._tracker = Tracker(identity, Landmarker(need(LANDMARKS)))

    def chosen(self, frames: Sequence[int], keys: Wanted, tell: Tell) -> list[int]:
        """Extremes among evenly spaced frames."""
        if keys.so_many() <= 0:
            return []
        places = np.unique(np.linspace(0, len(frames) - 1, min(SURVEY, len(frames))).round().astype(int))
        found = []
        for done, place in enumerate(places):
            tell(f"First look at the frames, {done + 1} of {len(places)}")
            try:
                with tempfile.TemporaryDirectory() as work:
                    _, tracked = self._follow(frames[place], Path(work))
            except BridgeError:
                continue  # it will say so itself when its turn comes
            found.append(Followed(frames[place], tracked.pose.expression, tracked.error))
        return extremes(found, keys.so_many())

    def with_key(self, identity: Identity, number: int) -> Identity:
        """The identity with this key frame more. Raises BridgeError."""
        key = self._plan.key(self._source, number)
        if not self._store.done(number, key):
            with self._store.work(number, key) as folder:
                Reconstruction(self._plan, self._source)(number, folder, self.control)
        with tempfile.TemporaryDirectory() as work:
            inputs, tracked = self._follow(number, Path(work))
        followed = placed(self.identity, tracked.pose, tracked.detail)
        vertices = self._laid(followed, inputs, self._store.place(number) / "head.ply")
        return identity.with_look(inputs.cameras, inputs.pixels, vertices, tracked.pose.expression)

    def _follow(self, number: int, work: Path) -> tuple[Inputs, Tracked]:
        inputs = read_inputs(self._source.place(number, work / "capture"))
        return inputs, self._tracker.track(inputs.cameras, inputs.pixels, self._check)

    def _laid(self, followed: np.ndarray, inputs: Inputs, file: Path) -> np.ndarray:  # [V, 3] -> [V, 3] world
        """The template on the frame's own dense head, from where it was followed."""
        template = with_landmarks(load_template(self._template, self._check), self._template, self._check)
        vertices, faces = read_ply(file)[:2]
        head = Head(vertices.astype(np.float64), faces, inputs.cameras, inputs.pixels, None)
        count, _ = seen_by(head)
        nowhere = np.zeros_like(self.identity.marks), np.full(len(self.identity.sigma), np.inf)  # lips may be apart
        scan = Scan(head.vertices, faces, sure(count, len(inputs.cameras)), *nowhere)
        found = similarity(template.vertices[self.identity.face], followed[self.identity.face])
        assert found is not None
        to_world = Similarity(found.scale, found.rotation, found.offset)
        back = inverse(to_world)
        regions, start = find_regions(template), back.points(followed)
        local = deform(template, regions, scan.moved(back), start, rounds=LAY, check=self._check)
        return to_world.points(local)

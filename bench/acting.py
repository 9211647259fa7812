"""What a synthetic person does: smooth curves of nine shapes, or speech with blinks, shouts and grimaces.

Every take begins neutral and ends in the pose of its first frame, so that a loop can be closed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from bridge.model import Template

CURVES = {  # shape -> (height, frequency over the sequence, phase)
    "jawOpen": (0.7, 3.0, 0.0),
    "eyeBlinkLeft": (1.0, 2.0, 0.3),
    "eyeBlinkRight": (1.0, 2.0, 0.3),
    "mouthSmileLeft": (0.8, 2.0, 0.5),
    "mouthSmileRight": (0.8, 2.0, 0.5),
    "browInnerUp": (0.9, 1.0, 0.2),
    "browDownLeft": (0.6, 2.0, 0.8),
    "browDownRight": (0.6, 2.0, 0.8),
    "mouthPucker": (0.5, 3.0, 0.6),
}
RATE = 25.0  # frames a second of speech
SYLLABLE = 0.2  # seconds
SOUNDS = (  # what the mouth does beside the jaw, a vowel each
    {"jawOpen": 0.45},
    {"jawOpen": 0.2, "mouthFunnel": 0.6},
    {"jawOpen": 0.1, "mouthPucker": 0.7},
    {"jawOpen": 0.25, "mouthStretchLeft": 0.5, "mouthStretchRight": 0.5},
    {"jawOpen": 0.3, "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4, "mouthLowerDownLeft": 0.4,
     "mouthLowerDownRight": 0.4},
    {"mouthPressLeft": 0.6, "mouthPressRight": 0.6, "mouthRollLower": 0.4},
)  # fmt: skip
BLINK = (0.0, 0.4, 0.9, 1.0, 0.8, 0.5, 0.2, 0.0)  # lids, a frame each
GRIMACES = (  # (begin, end) of the take, shapes at their height
    (0.22, 0.40, {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "cheekSquintLeft": 0.7, "cheekSquintRight": 0.7}),
    (0.46, 0.62, {"jawOpen": 1.0, "browInnerUp": 1.0, "browOuterUpLeft": 0.9, "browOuterUpRight": 0.9,
                  "eyeWideLeft": 0.8, "eyeWideRight": 0.8}),
    (0.66, 0.82, {"browDownLeft": 1.0, "browDownRight": 1.0, "noseSneerLeft": 0.9, "noseSneerRight": 0.9,
                  "mouthFrownLeft": 0.8, "mouthFrownRight": 0.8}),
    (0.84, 0.94, {"mouthSmileLeft": 0.6, "browInnerUp": 0.5, "mouthLeft": 0.6}),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Performance:
    """The truth of every frame, in the rig's world, which is the template's frame (millimetres)."""

    vertices: np.ndarray  # [frames, V, 3]
    expression: np.ndarray  # [frames, m]
    R: np.ndarray  # [frames, 3, 3]
    t: np.ndarray  # [frames, 3]


Curves = Callable[[np.ndarray, np.random.Generator], dict[str, np.ndarray]]  # time [frames] 0..1 -> weights by shape


def act(template: Template, frames: int, seed: int, still: bool = False, speech: bool = False) -> Performance:
    """Frame 0 is neutral; the last one is the first one again. still: the head does not turn and nothing moves."""
    rng = np.random.default_rng(seed)
    person = template.vertices.copy()
    if len(template.identity):
        person = person + np.tensordot(rng.normal(0, 0.7, len(template.identity)), template.identity, 1)
    time = np.arange(frames) / max(1, frames - 1)
    expression = np.zeros((frames, len(template.expressions)))
    for name, curve in (spoken if speech else waved)(time, rng).items():
        expression[:, template.expression_names.index(name)] = curve
    angles = np.radians(14) * np.stack(
        [np.sin(4 * np.pi * time) * 0.5, np.sin(2 * np.pi * time), 0.3 * np.sin(4 * np.pi * time)], 1
    )
    if speech:  # nods with the words
        angles[:, 0] += np.radians(3) * np.sin(2 * np.pi * 9 * time) * np.sin(np.pi * time)
    shift = 12.0 * np.stack(
        [np.sin(2 * np.pi * time), 0.5 * np.sin(4 * np.pi * time), 0.5 * np.sin(2 * np.pi * time)], 1
    )
    if still:
        angles, shift, expression = angles * 0, shift * 0, expression * 0
    centre = person.mean(0)
    R = Rotation.from_rotvec(angles).as_matrix()
    shapes = person + np.einsum("fm,mvd->fvd", expression, template.expressions)
    vertices = np.einsum("fij,fvj->fvi", R, shapes - centre) + centre + shift[:, None]
    return Performance(vertices, expression, R, shift)


def waved(time: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """CURVES."""
    envelope = np.minimum(1, 4 * np.minimum(time, 1 - time))
    found = {}
    for name, (height, frequency, phase) in CURVES.items():
        curve = np.maximum(0, np.sin(2 * np.pi * (frequency * time - phase)) - np.sin(-2 * np.pi * phase) * (1 - time))
        found[name] = height * np.clip(curve, 0, 1) * envelope
    return found


def spoken(time: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Syllables of five frames, blinks, and four grimaces as far as shapes go; the mouth says nothing meanwhile."""
    found: dict[str, np.ndarray] = {}

    def add(name: str, curve: np.ndarray) -> None:
        found[name] = np.clip(found.get(name, 0.0) + curve, 0, 1)

    frames = len(time)
    rest = np.minimum(1, 12 * np.minimum(time, 1 - time))
    quiet = rest.copy()
    for begin, end, shapes in GRIMACES:
        bump = np.clip(2.2 * np.sin(np.pi * np.clip((time - begin) / (end - begin), 0, 1)), 0, 1)
        quiet *= 1 - 0.8 * bump
        for name, height in shapes.items():
            add(name, height * bump)
    step = SYLLABLE * RATE
    for i in range(int(frames / step)):
        sound = SOUNDS[int(rng.integers(len(SOUNDS)))]
        loud = rng.uniform(0.6, 1.3)
        bump = np.clip(1 - np.abs(np.arange(frames) / step - i - 0.5), 0, 1)
        for name, height in sound.items():
            add(name, height * loud * quiet * bump * bump * (3 - 2 * bump))
    for at in (0.12, 0.35, 0.58, 0.88):
        first = round(at * frames)
        lids = np.zeros(frames)
        part = BLINK[: max(0, frames - first)]
        lids[first : first + len(part)] = part
        for side in ("Left", "Right"):
            add(f"eyeBlink{side}", lids * rest)
    return found

"""The 52 blend shapes of Apple's ARKit by their exact names, in the order of its documentation. No imports."""

from __future__ import annotations

_EYE = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
_SIDED_MOUTH = ("Smile", "Frown", "Dimple", "Stretch")
_LATE_MOUTH = ("Press", "LowerDown", "UpperUp")

NAMES: tuple[str, ...] = (
    *(f"eye{what}Left" for what in _EYE),
    *(f"eye{what}Right" for what in _EYE),
    *("jawForward", "jawLeft", "jawRight", "jawOpen"),
    *("mouthClose", "mouthFunnel", "mouthPucker", "mouthLeft", "mouthRight"),
    *(f"mouth{what}{side}" for what in _SIDED_MOUTH for side in ("Left", "Right")),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *(f"mouth{what}{side}" for what in _LATE_MOUTH for side in ("Left", "Right")),
    *("browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    *("cheekPuff", "cheekSquintLeft", "cheekSquintRight"),
    *("noseSneerLeft", "noseSneerRight", "tongueOut"),
)

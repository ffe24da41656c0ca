"""What the records of each type hold that readers rely on: one that was edited or damaged is refused where it is read.

What no reader relies on is not asked for, and a type that is not known is anybody's: the same schema may have grown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A mapping of keys, a list with one shape for each of its items, or the name of a plain kind.
Shape = Mapping[str, Any] | list[Any] | str

NUMBER, MAYBE, TEXT, MAPPING, LIST = "a number", "a number or null", "a text", "a mapping", "a list"
KINDS = {TEXT: str, MAPPING: dict, LIST: list}
# What is larger is neither a time nor a count, and overflows where it is drawn.
LARGEST = 1e30

# A key with a question mark may lack or be null; `*` stands for every key.
TEXTS: Shape = {"*": TEXT}
FAULT: Shape = {"at?": NUMBER, "after?": NUMBER, "facts?": MAPPING, "evidence?": MAPPING}
SHAPES: Mapping[str, Shape] = {
    "run.start": {"way?": {"*": LIST}, "argv?": LIST},
    "plan": {
        "caps?": MAPPING,
        "faults?": [{"victim?": {"namespace?": TEXT, "owner?": TEXT}, "parameters?": MAPPING, "disturbs?": [TEXT]}],
        "late?": [MAPPING],
        "objectives?": [{"parameters?": MAPPING}],
        "shares?": LIST,
        "left_out?": LIST,
    },
    "load.started": {"rate": NUMBER, "ramp?": NUMBER, "stages?": [{"rate": NUMBER}], "operations?": [{"name": TEXT}]},
    "load.stages": {"points": [[NUMBER]]},
    "load.ended": {"operations?": NUMBER},
    "sample": {"series": TEXT, "value": MAYBE, "time?": NUMBER, "labels?": TEXTS},
    "series": {"series": TEXT, "values": [MAYBE], "start": NUMBER, "step": NUMBER, "labels": TEXTS},
    "addresses": {"pods": TEXTS},
    "calls.recorded": {"unread": MAPPING},
    "fault.injected": FAULT,
    "fault.felt": FAULT,
    "fault.told": FAULT,
    "fault.healed": FAULT,
    "undo": {"ops?": [{"patch?": [MAPPING], "argv?": LIST}], "seconds?": NUMBER},
    "finding": {"checker": TEXT, "detail?": MAPPING},
    "verdict": {"seconds?": NUMBER},
}


def amiss(type: str, data: Any) -> str:
    """Say what of a record's data its readers could not read; empty where all is as it is written."""
    return _amiss(data, SHAPES.get(type, MAPPING), "data")


def _amiss(value: Any, shape: Shape, at: str) -> str:
    if isinstance(shape, str):
        return "" if _is(value, shape) else f"{at} is {_told(value)}, not {shape}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{at} is {_told(value)}, not {LIST}"
        items = (_amiss(item, shape[0], f"{at}[{number}]") for number, item in enumerate(value))
        return next(filter(None, items), "")
    if not isinstance(value, dict):
        return f"{at} is {_told(value)}, not {MAPPING}"
    if "*" in shape:
        return next(filter(None, (_amiss(item, shape["*"], f"{at}.{key}") for key, item in value.items())), "")
    for key, inside in shape.items():
        name = key.removesuffix("?")
        if value.get(name) is None and name != key:
            continue
        if name not in value:
            return f"{at} has no '{name}'"
        if found := _amiss(value[name], inside, f"{at}.{name}"):
            return found
    return ""


def _is(value: Any, kind: str) -> bool:
    if kind in KINDS:
        return isinstance(value, KINDS[kind])
    # NaN lies between nothing, and is refused with what is too large.
    return (value is None and kind == MAYBE) or (isinstance(value, int | float) and -LARGEST < value < LARGEST)


def _told(value: Any) -> str:
    found = next((kind for kind, of in KINDS.items() if isinstance(value, of)), "")
    return found or ("null" if value is None else f"{value:.6g}" if isinstance(value, float) else f"{value}"[:20])

"""Hash values so that the same meaning always gives the same digest."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def digest(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON, in hexadecimal; the order of keys does not matter."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def canonical(value: Any) -> str:
    """Write a value as JSON with sorted keys and no spaces; dataclasses, enums, sets and paths as their values."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


# Nearly all that a document holds; asked first, this takes half of the time that loading one took.
SIMPLE = frozenset({str, int, bool, type(None)})


def _plain(value: Any) -> Any:
    if type(value) in SIMPLE:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=canonical)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, PurePath):
        return value.as_posix()
    # 5 and 5.0 mean the same in a document.
    return int(value) if isinstance(value, float) and value.is_integer() else value

"""Turn any value into plain JSON without its secrets."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import math
import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[redacted]"

# Kubernetes keeps a copy of what was applied, Secrets' data included, in an annotation.
_SECRET_KEY = re.compile(
    r"token|passw|secret|authorization$|client[-_]?key|private[-_]?key|api[-_]?key|access[-_]?key|credential|cookie"
    r"|last-applied-configuration$",
    re.I,
)
# Numbers under other keys ("tokens": 5) are counts.
_NUMERIC_SECRET = re.compile(r"passw|private[-_]?key|api[-_]?key|credential", re.I)
# From where a word begins to where it ends, never given back: a long word is looked at once, not from each letter.
_WORD = (
    r"(?<![\w-])(?=[\w-]*(?:token|password|passwd|secret|(?:api|access|private)[-_]?key|client-key-data|credential))"
    r"[\w-]++"
)
_FLAG = rf"(?=--?\w){_WORD}"
# To the quote that closes, over escaped ones, or to the end of a line that was cut off.
_QUOTED = r"""(\\*["'])(?:(?!\2)(?:\\.|.))*(?:\2|$|(?=\n))"""
# One look decides for most strings that none of the costlier patterns can match.
_SUSPICIOUS = re.compile(
    r"bearer|basic |eyJ|://|-----BEGIN|token|passw|secret|key|credential|authorization|\bsk-|\bgh[a-z]_|github_pat|A[KS]IA",
    re.I,
)
_SECRET_TEXT: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), HIDDEN),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.I), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?"), HIDDEN),
    (re.compile(r"\b(?:sk-ant-|sk-[\w-]{20}|gh[pousr]_\w{8}|github_pat_\w|A[KS]IA[A-Z0-9]{12})[\w-]*"), HIDDEN),
    (re.compile(r"""(://[^\s/:@"'<>]*):(?!//)[^\s"'<>]{0,256}@"""), rf"\1:{HIDDEN}@"),
    (re.compile(r"""(://)[^\s/:@"'<>]{1,256}@"""), rf"\1{HIDDEN}@"),
    (
        re.compile(rf"""((?:{_WORD}|(?<![\w-])[\w-]*authorization)\\*["']?\s*[=:]\s*){_QUOTED}""", re.I),
        rf"\1\2{HIDDEN}\2",
    ),
    (re.compile(rf"({_FLAG}\s+){_QUOTED}", re.I), rf"\1\2{HIDDEN}\2"),
    (re.compile(rf"""({_FLAG}[^\S\n]+)(?![-"'\\])\S+""", re.I), rf"\1{HIDDEN}"),
    # A scheme before the credentials stays, whatever its name; what is hidden already is no credential.
    (
        re.compile(r"""(authorization\s*[=:]\s*(?>(?:\w+[ \t]+)?))(?!\[)[^\s"'&,;}\[\\]+""", re.I),
        rf"\1{HIDDEN}",
    ),
    (re.compile(rf"""({_WORD}\\*["']?\s*[=:]\s*)(?!(?:bearer|basic)\b)[^\s"'&,;}}\[\\]+""", re.I), rf"\1{HIDDEN}"),
)
_SECRET_FLAG = re.compile(rf"^{_FLAG}$", re.I)


def clean(value: Any) -> Any:
    """Return `value` as plain JSON data with every secret replaced."""
    if value is None or (isinstance(value, bool | int) and not isinstance(value, enum.Enum)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return clean(value.value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, list | tuple):
        return _sequence(value)
    if isinstance(value, set | frozenset):
        return sorted((clean(item) for item in value), key=str)
    if isinstance(value, bytes):
        return _text(value.decode(errors="replace"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapping({item.name: getattr(value, item.name) for item in dataclasses.fields(value)})
    return _text(str(value))


def _text(text: str) -> str:
    if not _SUSPICIOUS.search(text) and '"Secret' not in text:
        return text
    if text.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(ValueError, RecursionError):
            inside = json.loads(text)
            plain = clean(inside)
            return text if plain == inside else json.dumps(plain, ensure_ascii=False)
    before = ""
    # What is hidden may bring to light what stands beside it.
    while text != before:
        before = text
        for pattern, replacement in _SECRET_TEXT:
            text = pattern.sub(replacement, text)
    return text


def _mapping(values: Mapping[Any, Any], *, secret: bool = False) -> dict[str, Any]:
    kind = values.get("kind")
    secret = secret or kind == "Secret"
    # An environment variable of a container, or anything else that is a name and its value.
    named = isinstance(values.get("name"), str) and bool(_SECRET_KEY.search(values["name"]))
    plain: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key)
        hidden = bool(_SECRET_KEY.search(name)) or (secret and name in ("data", "stringData"))
        hidden = hidden or (named and name == "value" and isinstance(value, str))
        if kind == "SecretList" and name == "items" and isinstance(value, list):
            plain[name] = [_mapping(item, secret=True) if isinstance(item, Mapping) else clean(item) for item in value]
        else:
            plain[name] = HIDDEN if hidden and _can_hide(name, value) else clean(value)
    return plain


def _can_hide(name: str, value: Any) -> bool:
    if isinstance(value, bool) or value in (None, "", {}, []):
        return False
    return not isinstance(value, int | float) or bool(_NUMERIC_SECRET.search(name))


def _sequence(values: list[Any] | tuple[Any, ...]) -> list[Any]:
    plain: list[Any] = []
    after_flag = False
    for value in values:
        plain.append(HIDDEN if after_flag and isinstance(value, str) else clean(value))
        after_flag = isinstance(value, str) and bool(_SECRET_FLAG.match(value))
    return plain

"""Read operations of a load: requests with placeholders, and what is expected of their answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.model import units
from harness.model.load import Call, Expect, Reference, Values
from harness.source.closed import Section, nearest
from harness.source.lines import Place

KEYS = ("summary", "url", "method", "headers", "body", "expect", "values", "operations")
CALL_KEYS = ("name", "weight", "url", "method", "headers", "body", "expect")
# With several operations each has its own.
OWN = ("method", "body")
# `$${` is a dollar sign and a brace.
PLACEHOLDER = re.compile(r"(?<!\$)\$\{([^{}]*)\}")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
UNFIT = re.compile(r"[\x00-\x1f\x7f]")
CLASS = re.compile(r"([2-5])xx", re.I)
RANGE = re.compile(r"(\d{3})\s*-\s*(\d{3})")
# The load says itself where a body ends; no answer would come after the last two.
RESERVED = frozenset({"content-length", "transfer-encoding", "upgrade", "expect", "te", "trailer"})
MOST_CALLS, MOST_WEIGHT, MOST_VALUES = 100, 1_000_000.0, 100_000
LONGEST = 1_000_000


def read(section: Section, base: str = "") -> tuple[tuple[Call, ...], Values]:
    """Read every operation of a workload and what its placeholders are drawn from.

    `base` is the URL that the document beside the workload's name says: it takes the place of the workload's own.
    """
    base = base or section.get("url", address, "")
    drawn = _values(section)
    return _calls(section, base, drawn), drawn


def _calls(section: Section, base: str, known: Values) -> tuple[Call, ...]:
    common = headers(section)
    expect = _expect(section, Expect())
    if "operations" not in section:
        return (_call(section, section, base, common, expect, "operation", known),)
    for key in OWN:
        if key in section:
            section.problems.add(
                section.at(key), f"'{key}' stands beside 'operations'", hint="write it into each operation"
            )
    listed = section.items("operations")
    if section.data["operations"] in (None, []) or len(listed) > MOST_CALLS:
        section.problems.add(section.at("operations"), f"'operations' must list 1 to {MOST_CALLS} of them")
    found = []
    for number, (place, value) in enumerate(listed, 1):
        one = Section(section.problems, value, place, "an operation", CALL_KEYS)
        all_headers = {**common, **headers(one)}
        found.append(_call(one, section, base, all_headers, _expect(one, expect), f"operation {number}", known))
    names = [call.name for call in found]
    for (place, _), name in zip(listed, names, strict=True):
        if names.count(name) > 1:
            section.problems.add(place, f"two operations are named '{name}'")
            break
    return tuple(found)


def _call(
    one: Section,
    whole: Section,
    base: str,
    fields: Mapping[str, str | Reference],
    expect: Expect,
    name: str,
    known: Values,
) -> Call:
    body, is_json = _body(one)
    call = Call(
        name=one.get("name", units.text, name) if one is not whole else name,
        url=_url(one, whole, base),
        method=one.get("method", _method, "POST" if body else "GET"),
        headers=fields,
        body=body,
        json=is_json,
        expect=expect,
        weight=one.get("weight", _weight, 1.0) if one is not whole else 1.0,
    )
    if call.method == "HEAD" and expect.json is not None:
        one.problems.add(one.place, "an answer to HEAD has no body", why="'expect: json' looks into it")
    for where, texts in (("url", [call.url]), ("body", [body]), ("headers", [str(each) for each in fields.values()])):
        place = one.at(where) if where in one else whole.at(where) if where in whole else one.place
        for text in texts:
            drawable(one, place, text, known, ascii_only=where == "headers")
    return call


def drawable(section: Section, place: Place, text: str, known: Values, *, ascii_only: bool) -> None:
    """Note each placeholder of a text that nothing is drawn for, or what does not fit into it."""
    for used in PLACEHOLDER.findall(text):
        if used not in known:
            why = f"{units.shown('${' + used + '}')} is not among the values"
            section.problems.add(place, why, hint=nearest(used, known) if known else f"values: {{{used}: [...]}}")
        elif ascii_only and not all(value.isascii() for value in known[used]):
            section.problems.add(place, f"what '{used}' draws is no ASCII", why="it stands in a header")


def _url(one: Section, whole: Section, base: str) -> str:
    if one is not whole and "url" in one:
        own = one.get("url", address, "")
        if not base or not own.startswith("/"):
            return own
        if "?" in base:
            whole.problems.add(
                whole.at("url") if "url" in whole else whole.place, "a URL that others add to has no query"
            )
        return base.rstrip("/") + own
    if not base and not one.meant & {"url"} and not ("url" in whole or "url" in one):
        hint = "a path that begins with / goes to the cluster's gateway"
        one.problems.add(one.place, f"{one.name} needs 'url'", why="load goes only where the document says", hint=hint)
    return base


def address(value: Any) -> str:
    """Read a URL, whole or as a path that begins with /; placeholders stand in its path and query only."""
    text = units.text(value)
    bare = PLACEHOLDER.sub("x", text)
    if UNFIT.search(text) or " " in bare:
        raise ValueError(f"{units.shown(value)} holds a space or a control character; write %20")
    if text.startswith("/") and not text.startswith("//"):
        if "#" in bare:
            raise ValueError(f"{units.shown(value)} has a fragment (#...), which is never sent")
        return text
    try:
        parts = urlsplit(bare)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        raise ValueError(f"{units.shown(value)} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{units.shown(value)} is no URL; write http://host:port/path, https://..., or a path from /")
    if "${" in text.partition("://")[2].partition("/")[0]:
        raise ValueError(f"{units.shown(value)} draws its host; load goes only where the document says")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL holds no credentials here; write headers: {authorization: {env: NAME}}")
    if port == 0:
        raise ValueError(f"{units.shown(value)} names port 0")
    if parts.fragment:
        raise ValueError(f"{units.shown(value)} has a fragment (#...), which is never sent")
    return text


def _values(section: Section) -> Values:
    """Read what placeholders are drawn from: a list, or whole numbers `{from: 1, to: 20}`, both ends included."""
    if "values" not in section:
        return {}
    place = section.at("values")
    if not isinstance(section.data["values"], dict):
        Section(section.problems, section.data["values"], place, "'values'", ("NAME",))
        return {}
    return {name: _drawn(section, (*place, name), value) for name, value in section.data["values"].items()}


def _drawn(section: Section, place: Place, value: Any) -> tuple[str, ...]:
    if isinstance(value, list):
        texts = [item for item in value if isinstance(item, str | int | float) and not isinstance(item, bool)]
        if not value or len(texts) != len(value) or any(UNFIT.search(str(item)) for item in texts):
            section.problems.add(place, "a list to draw from holds texts or numbers, at least one")
        return tuple(map(str, texts)) or ("",)
    numbers = Section(section.problems, value, place, "what a placeholder is drawn from", ("from", "to"))
    first = numbers.get("from", units.integer, 0, required="the lowest number")
    last = numbers.get("to", units.integer, first, required="the highest number")
    if not 0 <= last - first < MOST_VALUES:
        section.problems.add(place, f"'from: {first}, to: {last}' must name 1 to {MOST_VALUES} numbers")
        return (str(first),)
    return tuple(map(str, range(first, last + 1)))


def headers(section: Section) -> dict[str, str | Reference]:
    """Read headers by their names in small letters; a value may stand in the environment or in a file."""
    if "headers" not in section:
        return {}
    listed = section.data["headers"]
    if not isinstance(listed, dict):
        Section(section.problems, listed, section.at("headers"), "'headers'", ("NAME",))
        return {}
    found: dict[str, str | Reference] = {}
    for name, value in listed.items():
        place = (*section.at("headers"), name)
        lower = name.lower()
        if not TOKEN.fullmatch(name):
            section.problems.add(place, f"{units.shown(name)} is no name of a header")
        elif lower in RESERVED:
            section.problems.add(
                place, f"the load does not send '{lower}' as it is told", why="it follows from the body"
            )
        elif lower == "connection" and value != "close":
            section.problems.add(place, "'connection' may say 'close', nothing else")
        elif lower in found:
            section.problems.add(place, f"the header '{lower}' is here twice")
        else:
            found[lower] = _header(section, place, value)
    return found


def _header(section: Section, place: Place, value: Any) -> str | Reference:
    if isinstance(value, dict):
        one = Section(section.problems, value, place, "a header that stands elsewhere", ("env", "file"))
        if len(one.data) != 1:
            section.problems.add(place, "a header that stands elsewhere is {env: NAME} or {file: PATH}")
            return ""
        (kind,) = one.data
        return Reference(kind, one.get(kind, units.text, ""))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        section.problems.add(place, f"{units.shown(value)} is no value of a header")
        return ""
    text = str(value).strip()
    if UNFIT.search(text.replace("\t", " ")) or not text.isascii():
        section.problems.add(place, "a header holds ASCII, and no line break or control character")
    return text


def _body(section: Section) -> tuple[str, bool]:
    """Return the body as text, and whether it is JSON: a mapping or a list is written as such."""
    value = section.data.get("body")
    if value is None:
        return "", False
    text = value if isinstance(value, str) else json.dumps(value)
    if len(text) > LONGEST:
        section.problems.add(section.at("body"), f"a body of {len(text)} characters is longer than {LONGEST}")
    return text, not isinstance(value, str)


def _method(value: Any) -> str:
    text = units.text(value).upper()
    if not TOKEN.fullmatch(text) or text == "CONNECT":
        raise ValueError(f"{units.shown(value)} is no method; write one like GET or POST")
    return text


def _weight(value: Any) -> float:
    found = units.number(value)
    if not 0 < found <= MOST_WEIGHT:
        raise ValueError(f"{units.shown(value)} is not above 0 and at most {MOST_WEIGHT:g}")
    return found


def _expect(section: Section, default: Expect) -> Expect:
    if "expect" not in section:
        return default
    one = Section(section.problems, section.data["expect"], section.at("expect"), "'expect'", ("status", "json"))
    if isinstance(section.data["expect"], dict) and not one.data:
        section.problems.add(section.at("expect"), "'expect' is empty", hint="expect: {status: 200}")
    return Expect(one.get("status", _statuses, default.statuses), one.get("json", _json, default.json))


def _json(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value:
        raise ValueError(f"{units.shown(value)} is no mapping of keys to the values that the answer must hold")
    return value


def _statuses(value: Any) -> tuple[tuple[int, int], ...]:
    """Read statuses: 200, 2xx, 200-299, or a list of those."""
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise ValueError("the list is empty, no answer would do")
    return tuple(_status(item) for item in listed)


def _status(value: Any) -> tuple[int, int]:
    text = str(value).strip()
    low = high = 0
    if match := CLASS.fullmatch(text):
        low, high = int(match[1]) * 100, int(match[1]) * 100 + 99
    elif match := RANGE.fullmatch(text):
        low, high = int(match[1]), int(match[2])
    elif isinstance(value, int) and not isinstance(value, bool):
        low = high = value
    if not 200 <= low <= high <= 599:
        raise ValueError(f"{units.shown(value)} is no status of an answer; write 200, 2xx, 200-299 or a list of those")
    return low, high

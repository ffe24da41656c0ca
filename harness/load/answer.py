"""What came back of a request, and whether it is what was asked for."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.model.load import Expect

# What the gateway adds to each answer, its own included: the `headers` of the stack's VirtualService ask for it.
FLAGS_HEADER = b"x-envoy-response-flags"
HOST_HEADER = b"x-envoy-upstream-host"
ATTEMPTS_HEADER = b"x-envoy-attempt-count"
# What a service says that refused: which dependency kept it from answering, and how; or that it has no room.
DEPENDENCY_HEADER, BREAKER_HEADER, FAILURE_HEADER = b"x-dependency", b"x-breaker", b"x-failure"
OVERLOAD_HEADER = b"x-overload"
SERVER_HEADER = b"x-served-by"
LOCATION_HEADER, ENCODING_HEADER = b"location", b"content-encoding"
_READ = frozenset({
    *(FLAGS_HEADER, HOST_HEADER, ATTEMPTS_HEADER, SERVER_HEADER, LOCATION_HEADER, ENCODING_HEADER),
    *(DEPENDENCY_HEADER, BREAKER_HEADER, FAILURE_HEADER, OVERLOAD_HEADER),
})  # fmt: skip
# An answer is looked into up to here; what is longer is no answer to look into.
LARGEST_BODY = 1_000_000
# What is unpacked before it is looked into; for the library, 32 and more take the format from the first bytes.
PACKED, _ANY_FORMAT = frozenset({"gzip", "x-gzip", "deflate"}), 32 + zlib.MAX_WBITS
# More tries than fit into a record are as good as this many.
_MOST_ATTEMPTS, _DIGITS = 255, 9


class NotSent(ConnectionError):
    """Nothing of the request can have been processed, so that it may be sent again."""


class Garbled(ConnectionError):
    """What came back is not the protocol that was spoken: which one, then what was wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, when its last byte came, who served it, and how often the gateway says it tried.

    `attempts` is 0 where the gateway does not say. `tried` is the pod's address where none says that it answered;
    `because` is the service's own reason, of what was never answered the load's. `body` is kept where it is looked
    into. `amiss` says what the caller did not ask for.
    """

    status: int
    finished_ns: int
    served_by: str = ""
    attempts: int = 0
    response_flags: str = ""
    tried: str = ""
    because: str = ""
    location: str = ""
    body: bytes | None = None
    amiss: str = ""
    encoding: str = ""


def made(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes | None) -> Answer:
    """Make an answer that has just ended; names of headers are in small letters."""
    finished = time.monotonic_ns()
    told = {name: value.decode("latin-1") for name, value in headers if name in _READ}
    served_by = told.get(SERVER_HEADER, "")
    return Answer(
        status,
        finished,
        served_by,
        _attempts(told.get(ATTEMPTS_HEADER, "")),
        # Envoy writes - for none, for a host that was never chosen, too.
        told.get(FLAGS_HEADER, "").strip("-"),
        "" if served_by else told.get(HOST_HEADER, "").strip("-"),
        _because(told),
        told.get(LOCATION_HEADER, ""),
        body,
        encoding=told.get(ENCODING_HEADER, "").strip().lower(),
    )


def _attempts(text: str) -> int:
    # A gateway that found nobody to try tells 0, and has counted: its one attempt failed. Our 0 is one that is silent.
    return max(1, min(_MOST_ATTEMPTS, int(text[:_DIGITS]))) if text.isdecimal() else 0


def unanswered(finished_ns: int, because: str = "") -> Answer:
    """Return what stands in the place of an answer that never came."""
    return Answer(0, finished_ns, because=because)


def _because(told: Mapping[bytes, str]) -> str:
    how = f"breaker {told[BREAKER_HEADER]}" if BREAKER_HEADER in told else told.get(FAILURE_HEADER, "")
    how = "overloaded" if OVERLOAD_HEADER in told else how
    return ": ".join(part for part in (how, told.get(DEPENDENCY_HEADER, "")) if part)


def amiss(answer: Answer, expect: Expect) -> str:
    """Say what of an answer is not what was expected, without what it holds; empty when all is."""
    if answer.amiss:
        return answer.amiss
    if not any(low <= answer.status <= high for low, high in expect.statuses):
        return "another status than expected"
    if expect.json is None:
        return ""
    try:
        body = _unpacked(answer)
        if len(body) > LARGEST_BODY:
            return "too long to look into"
        found = json.loads(body)
    except (ValueError, RecursionError, zlib.error):
        return "no JSON"
    return _differs(found, expect.json, "")


def _unpacked(answer: Answer) -> bytes:
    """Return an answer's body as its author wrote it, up to a little more than is looked into."""
    body = answer.body or b""
    if answer.encoding not in PACKED or len(body) > LARGEST_BODY:
        return body
    return zlib.decompressobj(_ANY_FORMAT).decompress(body, LARGEST_BODY + 1)


def _differs(found: Any, wanted: Mapping[str, Any], place: str) -> str:
    """Name the first place at which an answer does not hold what it must; it may hold more."""
    if not isinstance(found, dict):
        return f"json {place or 'itself'} is no mapping"
    for key, value in wanted.items():
        where = f"{place}.{key}".lstrip(".")
        if key not in found:
            return f"json {where} is missing"
        if isinstance(value, dict):
            if inner := _differs(found[key], value, where):
                return inner
        # True is 1 in Python and not in JSON.
        elif found[key] != value or isinstance(found[key], bool) != isinstance(value, bool):
            return f"json {where} differs"
    return ""

"""Make requests from a workload: each drawn with the run's seed, what never changes made once."""

from __future__ import annotations

import json
import os
from bisect import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import h11

from harness.errors import UsageError
from harness.load.workload import PLACEHOLDER, UNFIT
from harness.model.load import Call, Expect, LoadSpec, Reference

AGENT = "chaos-load"
# What a path and a query may hold as they are; what is escaped already stays so.
PLAIN = "%/:=&?~#+!$,;'@()*[]"


class Origin(NamedTuple):
    """Who is asked: a scheme, a host and a port share their connections."""

    secure: bool
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


@dataclass(slots=True)
class Request:
    """One request; `call` is its kind's number, `words` the same in those of HTTP/1.1 once they were needed.

    Whatever stands in it was looked at when the document was read: nothing in it can end a line.
    """

    origin: Origin
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    expect: Expect
    call: int = 0
    words: bytes = b""

    def in_words(self) -> bytes:
        """Put it into the words of HTTP/1.1."""
        if not self.words:
            lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
            self.words = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + self.body
        return self.words

    def outline(self) -> h11.Request:
        """Return what of it decides how its answer ends and whether its connection is kept."""
        return _outline(self.method, ("connection", "close") in self.headers)


@lru_cache
def _outline(method: str, closes: bool) -> h11.Request:
    headers = [("host", "x"), *([("connection", "close")] if closes else [])]
    return h11.Request(method=method, target="/", headers=headers)


def origin_of(url: str) -> Origin:
    """Say who a whole URL asks; raises ValueError when it is none."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    return Origin(secure, (parts.hostname or "").encode("idna").decode(), parts.port or (443 if secure else 80))


class Requests:
    """The requests of one load; the same seed gives the same ones in the same order.

    `gateway` and `host` are where a URL that is only a path goes, and the name it is asked by. Raises UsageError when
    a header's variable or file is missing.
    """

    def __init__(self, load: LoadSpec, gateway: str, host: str) -> None:
        self._values = load.values
        self._makers = [_Maker(call, number, load, gateway, host) for number, call in enumerate(load.calls)]
        self._shares = list(accumulate(call.weight for call in load.calls))

    def draw(self, random: Random) -> Request:
        """Return the next request."""
        if len(self._makers) == 1:
            return self._makers[0].make(random, self._values)
        chosen = bisect(self._shares, random.random() * self._shares[-1])
        return self._makers[min(chosen, len(self._makers) - 1)].make(random, self._values)


class _Maker:
    """One kind of operation, with all that can be known before it is drawn."""

    def __init__(self, call: Call, number: int, load: LoadSpec, gateway: str, host: str) -> None:
        url = gateway.rstrip("/") + call.url if call.at_gateway else call.url
        self._origin, self._call, self._number = origin_of(PLACEHOLDER.sub("x", url)), call, number
        parts = urlsplit(url)
        self._target = _Text((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), _percent, quoted=True)
        named = {name: referred(value, load.folder) for name, value in call.headers.items()}
        common = {"host": (host if call.at_gateway else "") or str(self._origin), "user-agent": AGENT, "accept": "*/*"}
        if call.body and "content-type" not in named:
            common["content-type"] = "application/json" if call.json else "text/plain; charset=utf-8"
        self._headers = [(name, _Text(value, str)) for name, value in {**common, **named}.items()]
        self._body = _Text(call.body, _inside_json if call.json else str)
        texts = (self._target, self._body, *(text for _, text in self._headers))
        self._names = [name for name in load.values if any(name in text.names for text in texts)]
        self._fixed = None if self._names else self._with({})

    def make(self, random: Random, values: Mapping[str, object]) -> Request:
        if self._fixed is not None:
            return self._fixed
        return self._with({name: random.choice(values[name]) for name in self._names})  # type: ignore[arg-type]

    def _with(self, drawn: Mapping[str, str]) -> Request:
        headers = [(name, text.fill(drawn)) for name, text in self._headers]
        body = self._body.fill(drawn).encode()
        if body or self._call.method in ("POST", "PUT", "PATCH"):
            headers.append(("content-length", str(len(body))))
        method, expect = self._call.method, self._call.expect
        return Request(self._origin, method, self._target.fill(drawn), headers, body, expect, self._number)


class _Text:
    """A text that is cut at its placeholders once and filled often."""

    def __init__(self, text: str, escape: Callable[[str], str], *, quoted: bool = False) -> None:
        literals = [piece.replace("$${", "${") for piece in PLACEHOLDER.split(text)[::2]]
        self._literals = [quote(piece, safe=PLAIN) for piece in literals] if quoted else literals
        self.names = PLACEHOLDER.findall(text)
        self._escape = escape

    def fill(self, drawn: Mapping[str, str]) -> str:
        if not self.names:
            return self._literals[0]
        pieces = [self._literals[0]]
        for name, literal in zip(self.names, self._literals[1:], strict=True):
            pieces += (self._escape(drawn[name]), literal)
        return "".join(pieces)


def _percent(text: str) -> str:
    return text if text.isalnum() and text.isascii() else quote(text, safe="")


def _inside_json(text: str) -> str:
    return text if text.isalnum() and text.isascii() else json.dumps(text)[1:-1]


def referred(value: str | Reference, folder: str) -> str:
    """Return a header's value from where it stands; raises UsageError when nothing does."""
    if isinstance(value, str):
        return value
    where = "load.headers"
    if value.kind == "env":
        if not (text := os.environ.get(value.name, "").strip()):
            hint = f"export {value.name}=..."
            raise UsageError(
                f"the variable {value.name} is not set", where=where, why="a header stands there", hint=hint
            )
    else:
        try:
            text = (Path(folder) / value.name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the file {value.name}", where=where, why=str(error)) from error
    if UNFIT.search(text) or not text.isascii():
        raise UsageError(
            f"what stands in {value.name} is no value of a header", where=where, why="one line of ASCII is"
        )
    # What is read from elsewhere is taken as it is: a dollar sign in a token is no placeholder.
    return text.replace("${", "$${")

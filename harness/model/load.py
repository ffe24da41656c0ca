"""A load as a value: what is asked, what is expected, how fast; `harness.load.written` reads it from a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SERVED = ((200, 399),)
TIMEOUT_SECONDS = 10.0
Values = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Reference:
    """A header whose value stands elsewhere: in an environment variable or in a file."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"from the {'variable' if self.kind == 'env' else 'file'} {self.name}"


@dataclass(frozen=True, slots=True)
class Expect:
    """What the caller asked for: statuses as ranges (both ends count), and values that a JSON answer must hold."""

    statuses: tuple[tuple[int, int], ...] = SERVED
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of operation: a request whose placeholders `${name}` are drawn anew each time.

    `url` is whole, or a path that the cluster's gateway is asked for. `json` says that the body is JSON, in which what
    is drawn is escaped. Of all operations it is `weight` shares.
    """

    name: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str | Reference] = field(default_factory=dict)
    body: str = ""
    json: bool = False
    expect: Expect = field(default_factory=Expect)
    weight: float = 1.0

    @property
    def at_gateway(self) -> bool:
        """Say whether it goes to the cluster's gateway."""
        return self.url.startswith("/")


@dataclass(frozen=True, slots=True)
class Tls:
    """How TLS is spoken: files with the authority and the client's certificate, the server's name, whether it counts.

    The defaults are the machine's own authorities, no certificate, the URL's host, and that the server must prove it.
    """

    ca: str = ""
    certificate: str = ""
    key: str = ""
    server_name: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of the load at one rate; `seconds` None lasts until the run ends."""

    rate: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class LoadSpec:
    """An open load: operations of one workload, per second, from before the first fault to the end.

    `rate` is the lowest of its stages. `ramp` is how many seconds a change of the rate takes, the first one included.
    `written` is the section as it stands in the document and `folder` where its files are: what the load's own
    process reads again.
    """

    workload: str
    rate: float
    ramp: float = 0.0
    stages: tuple[Stage, ...] = ()
    calls: tuple[Call, ...] = ()
    values: Values = field(default_factory=dict)
    tls: Tls = field(default_factory=Tls)
    http: str = ""
    redirects: int = 0
    timeout: float = TIMEOUT_SECONDS
    written: Mapping[str, Any] = field(default_factory=dict)
    folder: str = ""

    @property
    def at_gateway(self) -> bool:
        """Say whether any of it goes to the cluster's gateway."""
        return any(call.at_gateway for call in self.calls)


def lines(load: LoadSpec) -> list[str]:
    """Say what a load sends, how fast and on what terms, for a plan: secrets stand in it as they are written."""
    paces = [
        f"{stage.rate:g}/s for {stage.seconds:g} s" if stage.seconds else f"{stage.rate:g}/s" for stage in load.stages
    ]
    pace = ", then ".join(paces) if paces else f"{load.rate:g}/s"
    ramp = f", each change over {load.ramp:g} s" if load.ramp else ""
    whole = sum(call.weight for call in load.calls) or 1.0
    found = [f"{load.workload} at {pace}{ramp}"]
    for call in load.calls:
        share = f"{call.weight / whole:.0%} " if len(load.calls) > 1 else ""
        place = f"the gateway's {call.url}" if call.at_gateway else call.url
        found.append(f"  {share}{call.method} {place}  expects {expectation(call.expect)}")
    terms = [f"HTTP/{load.http} only"] if load.http else []
    terms += [f"follows {load.redirects} redirects"] if load.redirects else []
    terms += [] if load.tls.verify else ["TLS certificates are NOT verified"]
    return found + ([f"  {', '.join(terms)}"] if terms else [])


def expectation(expect: Expect) -> str:
    """Say what is expected of an answer in one line."""
    found = " or ".join(str(low) if low == high else f"{low} to {high}" for low, high in expect.statuses)
    return found + (f" and JSON with {', '.join(expect.json)}" if expect.json else "")


def record(load: LoadSpec) -> dict[str, Any]:
    """Return what the journal keeps of a load's operations: of headers the names, for a value may be a secret."""
    return {
        "operations": [
            {
                "name": call.name,
                "method": call.method,
                "url": call.url,
                "headers": list(call.headers),
                "weight": call.weight,
                "expects": expectation(call.expect),
            }
            for call in load.calls
        ],
        "stages": [{"rate": stage.rate, "seconds": stage.seconds} for stage in load.stages],
    }

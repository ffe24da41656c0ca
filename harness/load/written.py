"""Read the `load` section of a document: a workload, written there or in a file of its own, and how fast it goes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.load import workload
from harness.model import units
from harness.model.load import TIMEOUT_SECONDS, Call, LoadSpec, Reference, Stage, Tls, Values
from harness.source import LARGEST_BYTES, SUFFIXES, encoding, lines
from harness.source.closed import Problems, Section, nearest

# What one process of the load can keep up with.
MAX_RATE = 2000.0
LONGEST_RAMP, LONGEST_STAGE, LONGEST_TIMEOUT, MOST_REDIRECTS, MOST_STAGES = 600.0, 1800.0, 60.0, 20, 100
# What the document says of a load, whoever says what is asked.
TERMS = ("rate", "stages", "ramp", "timeout", "redirects", "http", "tls")
KEYS = ("workload", *TERMS, *(key for key in workload.KEYS if key != "summary"))
# What each key says, for `harness explain load` and for editors.
ABOUT = {
    "workload": "The name of a workload: a file workloads/NAME.yaml beside the document, a path from there, or ours.",
    "url": "Where it goes: whole, or a path from / that the cluster's gateway is asked for. Nobody else is asked. What"
    " begins with / in an operation is added to it.",
    "method": "GET, or POST where there is a body.",
    "headers": "Texts; {env: NAME} and {file: PATH} stand for what no document should hold.",
    "body": "A text as it is; a mapping or a list is sent as JSON.",
    "expect": "What is good: `status` (200, 2xx, 200-299 or a list; 200-399 if unsaid) and `json`, values that the"
    " answer must hold. Anything else failed, and so did what was refused, cut off or not whole in time.",
    "values": "What ${NAME} is drawn from in url, headers and body: a list, or {from: 1, to: 20}. $${ is ${.",
    "operations": "Several kinds of operation: name, weight, url, method, headers, body, expect.",
    "rate": "Operations a second, begun when they are due whatever the system does.",
    "stages": "Instead of rate: [{rate: 20/s, for: 10s}, {rate: 40/s}] from the baseline on; each rate is held, the"
    " last one until the run ends. While the system settles the first one's is kept.",
    "ramp": "How long the first rise takes, and each change of the rate, out of its own stage (default 0s, a step).",
    "timeout": "When an operation without a whole answer has failed (default 10s).",
    "redirects": "How many redirects are followed, to hosts that the load names (default 0: a redirect is an answer).",
    "http": "1.1 or 2, nothing else; if unsaid, over TLS what the server prefers, without TLS 1.1.",
    "tls": "ca, certificate, key (PEM files), server-name, verify (default true).",
}
# What may stand beside the name of a workload: the rest is the workload's.
BESIDE = ("url", "headers")
HTTP = {"1.1": "1.1", "2": "2", "2.0": "2"}
# Where workloads of the project itself are, and where a document's own are looked for beside it.
SHIPPED = Path(__file__).parent / "workloads"
OWN_FOLDER = "workloads"
CERTIFICATE = re.compile(r"-----BEGIN (TRUSTED )?CERTIFICATE-----")
KEY = re.compile(r"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----")


def read(section: Section, folder: Path) -> LoadSpec:
    """Read one load; files it names are looked for from `folder`. Problems are noted, not raised."""
    stages = _stages(section)
    named = section.get("workload", units.text, "")
    if named:
        calls, values = _named(section, named, folder)
    elif "url" in section or "operations" in section:
        calls, values = workload.read(section)
    else:
        _require_something(section)
        calls, values = (), {}
    spec = LoadSpec(
        workload=named or _title(calls),
        rate=min((stage.rate for stage in stages), default=1.0),
        ramp=section.get("ramp", units.bounded(units.duration, LONGEST_RAMP), 0.0),
        stages=stages if len(stages) > 1 else (),
        calls=calls,
        values=values,
        tls=_tls(section, folder),
        http=section.get("http", _http, ""),
        redirects=section.get("redirects", _redirects, 0),
        timeout=section.get("timeout", units.bounded(units.duration, LONGEST_TIMEOUT, 0.01), TIMEOUT_SECONDS),
        written=section.data,
        folder=str(folder),
    )
    _files(section, spec, folder)
    _terms(section, spec)
    return spec


def _require_something(section: Section) -> None:
    if not section.meant & {"url", "operations", "workload"}:
        section.problems.add(
            section.place,
            "'load' needs 'workload' or 'url'",
            why="load goes only where the document says",
            hint=f"load: {{url: http://127.0.0.1:8080/, rate: 20/s}}, or one of {', '.join(shipped())}",
        )


def _title(calls: Sequence[Call]) -> str:
    return f"{calls[0].method} {calls[0].url}" if len(calls) == 1 else f"{len(calls)} kinds of operation"


def shipped() -> list[str]:
    """Name the workloads of the project itself."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _named(section: Section, name: str, folder: Path) -> tuple[tuple[Call, ...], Values]:
    """Read a workload from its file; `url` beside its name is its base, `headers` are added to each operation."""
    for key in workload.KEYS:
        if key in section and key not in BESIDE:
            section.problems.add(
                section.at(key), f"'{key}' is the workload's", hint=f"write it into {name}, or drop 'workload'"
            )
    path = path_of(name, folder)
    if path is None and _is_path(name):
        section.problems.add(
            section.at("workload"), f"there is no file {folder / name}", why="the workload stands there"
        )
        return (), {}
    if path is None:
        beside = [found.stem for suffix in SUFFIXES for found in (folder / OWN_FOLDER).glob(f"*{suffix}")]
        why = f"'workload': {units.shown(name)} is not known; {nearest(name, [*shipped(), *beside])}"
        section.problems.add(
            section.at("workload"), why, hint=f"a file of one's own: {folder / OWN_FOLDER / name}.yaml"
        )
        return (), {}
    inner = _inner(section, path)
    if inner is None:
        return (), {}
    base = section.get("url", workload.address, "")
    added = workload.headers(section)
    calls, values = workload.read(inner, base)
    for value in added.values():
        workload.drawable(section, section.at("headers"), str(value), values, ascii_only=True)
    _gather(section, inner.problems)
    return tuple(replace(call, headers={**call.headers, **added}) for call in calls), values


def path_of(name: str, folder: Path) -> Path | None:
    """Return the file of a workload that a document in `folder` names; None where there is none."""
    if _is_path(name):
        return folder / name if _is_file(folder / name) else None
    own = [folder / OWN_FOLDER / f"{name}{suffix}" for suffix in sorted(SUFFIXES)]
    return next((path for path in (*own, SHIPPED / f"{name}.yaml") if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    # Path.is_file() raises for a name that is too long, and below a folder that this user may not search.
    return os.path.isfile(path)  # noqa: PTH113


def _is_path(name: str) -> bool:
    return "/" in name or Path(name).suffix in SUFFIXES


def _inner(section: Section, path: Path) -> Section | None:
    """Open a workload's file; one that cannot be read is a problem of the document that names it."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise UsageError(f"the workload is larger than {LARGEST_BYTES} bytes", where=str(path))
        document = lines.read(encoding.read(path, "workload"), path)
    except UsageError as error:
        section.problems.found.append((section.problems.source.line(section.at("workload")), error))
        return None
    except OSError as error:
        section.problems.add(section.at("workload"), f"cannot read the workload {path}", why=str(error))
        return None
    return Section(Problems(document), document.data, (), "the workload", workload.KEYS)


def _gather(section: Section, inner: Problems) -> None:
    """Tell a workload's problems with the document's own, each with its own file and line."""
    line = section.problems.source.line(section.at("workload"))
    section.problems.found += [(line, error) for _, error in sorted(inner.found, key=lambda pair: pair[0])]


def _stages(section: Section) -> tuple[Stage, ...]:
    """Return the stages of a load; a plain rate is one that lasts until the run ends."""
    if "stages" not in section:
        rate = section.get("rate", _rate, 1.0, required="operations per second, like 50/s; or 'stages'")
        return (Stage(rate),)
    if "rate" in section:
        section.problems.add(section.at("rate"), "'rate' and 'stages' exclude each other", hint="a stage has its rate")
    listed = section.items("stages")
    if section.data["stages"] in (None, []) or len(listed) > MOST_STAGES:
        section.problems.add(
            section.at("stages"),
            f"'stages' must list 1 to {MOST_STAGES} of them",
            hint="stages: [{rate: 20/s, for: 10s}, {rate: 40/s}]",
        )
    found = []
    for number, (place, value) in enumerate(listed, 1):
        one = Section(section.problems, value, place, f"stage {number}", ("rate", "for"))
        rate = one.get("rate", _rate, 1.0, required="operations per second, like 50/s")
        last = number == len(listed)
        needed = "" if last else "only the last stage lasts until the run ends"
        length = one.get("for", units.bounded(units.duration, LONGEST_STAGE, 0.1), 1.0, required=needed)
        found.append(Stage(rate, None if last else length))
    return tuple(found) or (Stage(1.0),)


def _tls(section: Section, folder: Path) -> Tls:
    if "tls" not in section:
        return Tls()
    keys = ("ca", "certificate", "key", "server-name", "verify")
    one = Section(section.problems, section.data["tls"], section.at("tls"), "'tls'", keys)

    def file(holding: re.Pattern[str], what: str) -> Callable[[Any], str]:
        def reader(value: Any) -> str:
            path = folder / units.text(value)
            try:
                text = path.read_text(encoding="ascii", errors="replace")
            except OSError as error:
                raise ValueError(f"{path}: {error.strerror}") from None
            if not holding.search(text):
                raise ValueError(f"{path} holds no {what} in PEM")
            return str(path)

        return reader

    found = Tls(
        ca=one.get("ca", file(CERTIFICATE, "certificate"), ""),
        certificate=one.get("certificate", file(CERTIFICATE, "certificate"), ""),
        key=one.get("key", file(KEY, "private key"), ""),
        server_name=one.get("server-name", units.text, ""),
        verify=one.get("verify", units.boolean, True),
    )
    if found.key and "certificate" not in one:
        one.problems.add(one.at("key"), "a key without its 'certificate'")
    if not found.verify and found.ca:
        one.problems.add(
            one.at("ca"), "'ca' is never asked", why="'verify: false' trusts everybody", hint="drop one of the two"
        )
    return found


def _files(section: Section, spec: LoadSpec, folder: Path) -> None:
    """Note each header's file that is missing; what stands in the environment is asked for when the load starts."""
    missing = {
        value.name
        for call in spec.calls
        for value in call.headers.values()
        if isinstance(value, Reference) and value.kind == "file" and not _is_file(folder / value.name)
    }
    for name in sorted(missing):
        section.problems.add(
            section.at("headers" if "headers" in section else "workload"), f"there is no file {folder / name}"
        )


def _terms(section: Section, spec: LoadSpec) -> None:
    """Note terms that would be accepted and not kept."""
    if not spec.calls:
        return
    secure = any(call.at_gateway or call.url.startswith("https:") for call in spec.calls)
    if "tls" in section and not secure and all(call.url for call in spec.calls):
        section.problems.add(section.at("tls"), "no URL of this load is https", why="'tls' would do nothing")
    if spec.http == "2" and any(call.headers.get("connection") for call in spec.calls):
        section.problems.add(section.at("http"), "HTTP/2 knows no 'connection' header")
    for before, stage in zip(spec.stages, spec.stages[1:], strict=False):
        if stage.seconds and spec.ramp > stage.seconds:
            why = f"the change from {before.rate:g}/s takes longer than the stage"
            section.problems.add(section.at("ramp"), f"a ramp of {units.seconds(spec.ramp)} exceeds a stage", why=why)
            break


_rate = units.bounded(units.rate, MAX_RATE)


def _http(value: Any) -> str:
    found = HTTP.get(str(value).strip()) if isinstance(value, str | int | float) else None
    if found is None:
        raise ValueError(f"{units.shown(value)} is no version of HTTP that the load speaks; write 1.1 or 2")
    return found


def _redirects(value: Any) -> int:
    found = units.integer(value)
    if not 0 <= found <= MOST_REDIRECTS:
        raise ValueError(f"{found} is not between 0 and {MOST_REDIRECTS}")
    return found

"""Run documents under `chaos run` and under `harness run` and compare: `python -m bench.conformance`.

What is compared is what happened: every step, probe and control of the documents under `tests/conformance` leaves a
line in a log, in the order in which it was called, and the service they ask leaves one for every request. Beside it
stands what each engine says of the hypothesis. No cluster is needed, and none is touched.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENTS = ROOT / "tests" / "conformance"
SECONDS = 90
# What is asked all the while comes as often as there is time for; that it came is compared, not when.
FREE = "~"
OPTIONS: Mapping[str, Sequence[str]] = {
    "strategy_on_the_command_line": ("--hypothesis-strategy", "before-method-only"),
}
# By document: what differs and why.
DIFFERENCES: Mapping[str, str] = {
    "control_interrupts_unsaid": "rollbacks run here on every way out, not after an interruption there",
}
VERDICTS: Mapping[str, str] = {
    "strategy_continuously_missed": "a miss while the method runs is broken here, and only written down there",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What one engine did with one document: its log, the hypothesis' answers by side, its own last word, its text."""

    log: tuple[str, ...]
    hypothesis: Mapping[str, str]
    end: str
    text: str

    @property
    def ordered(self) -> tuple[str, ...]:
        """Return the lines whose order is compared."""
        return tuple(line for line in self.log if not line.startswith(FREE))

    @property
    def free(self) -> frozenset[str]:
        """Return the lines that may come at any time."""
        return frozenset(line for line in self.log if line.startswith(FREE))


class Service(BaseHTTPRequestHandler):
    """A service that writes down what it is asked."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        with Path(self.server.log).open("a") as log:  # type: ignore[attr-defined]
            log.write(f"{self.command} {self.path} {body}".rstrip() + "\n")
        self.send_response(503 if self.path == "/error" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *_: Any) -> None:
        """Say nothing on the terminal."""


def documents() -> list[Path]:
    """List the documents in their order."""
    return sorted(path for path in DOCUMENTS.iterdir() if path.suffix in (".yaml", ".json"))


def under(engine: str, document: Path) -> Ran:
    """Run one document under `chaos` or `harness`."""
    with tempfile.TemporaryDirectory() as place, _service(Path(place) / "log") as port:
        folder = Path(place)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": place,
            "PYTHONPATH": f"{DOCUMENTS}{os.pathsep}{ROOT}",
            "HARNESS_CACHE": f"{place}/cache",
            "CONFORMANCE_LOG": str(folder / "log"),
            "CONFORMANCE_PORT": str(port),
            "CONFORMANCE_WHOLE": "42",
            "CONFORMANCE_LIST": '["a", 1]',
        }
        options = OPTIONS.get(document.stem, ())
        if engine == "chaos":
            words = ["-m", "chaostoolkit", "--no-version-check", "--no-log-file", "--settings", f"{place}/none", "run"]
            words += ["--journal-path", f"{place}/journal.json"]
        else:
            words = ["-m", "harness.cli", "run", "--runs", f"{place}/runs"]
        done = subprocess.run(
            [sys.executable, *words, *options, str(document)],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        log = tuple((folder / "log").read_text().splitlines()) if (folder / "log").exists() else ()
        hypothesis, end = (_chaos if engine == "chaos" else _harness)(folder, done.returncode)
        return Ran(log, hypothesis, end, done.stdout + done.stderr)


class _service:
    def __init__(self, log: Path) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
        self.server.log = str(log)  # type: ignore[attr-defined]

    def __enter__(self) -> int:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return int(self.server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def _chaos(folder: Path, code: int) -> tuple[dict[str, str], str]:
    path = folder / "journal.json"
    if not path.exists():
        return {}, f"refused, exit {code}"
    journal = json.loads(path.read_text())
    states = journal["steady_states"]
    asked = {"before": [states["before"]], "during": states["during"], "after": [states["after"]]}
    deviated = ", deviated" if journal["deviated"] else ""
    return _sides({when: [one["steady_state_met"] for one in found if one] for when, found in asked.items()}), (
        f"{journal['status']}{deviated}"
    )


def _harness(folder: Path, code: int) -> tuple[dict[str, str], str]:
    path = next(iter(folder.glob("runs/*/journal.jsonl")), None)
    if path is None:
        return {}, f"refused, exit {code}"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    asked: dict[str, list[bool]] = {"before": [], "during": [], "after": []}
    for event in events:
        if event["type"] == "hypothesis":
            asked[event["data"]["when"]].append(event["data"]["met"])
    end = next((event["data"]["verdict"] for event in events if event["type"] == "verdict"), f"no verdict, exit {code}")
    return _sides(asked), end


def _sides(asked: Mapping[str, Sequence[bool]]) -> dict[str, str]:
    """Say for each side whether the hypothesis was met: always, never, or not always."""
    words = {(True,): "met", (False,): "missed", (False, True): "met and missed"}
    return {when: words[tuple(sorted(set(answers)))] for when, answers in asked.items() if answers}


def compare(document: Path) -> tuple[str, Ran, Ran]:
    """Run one document under both; say what differs, nothing when nothing does."""
    theirs, ours = under("chaos", document), under("harness", document)
    found = []
    if theirs.ordered != ours.ordered or theirs.free != ours.free:
        found.append("activities")
    if theirs.hypothesis != ours.hypothesis:
        found.append("hypothesis")
    return " and ".join(found), theirs, ours


def rows(paths: Sequence[Path]) -> Iterator[tuple[str, str, str, str, str, str, bool]]:
    """Compare documents and give the table's rows; the last cell says whether the row is as it should be."""
    for path in paths:
        differs, theirs, ours = compare(path)
        reason = DIFFERENCES.get(path.stem, "")
        told = ", ".join(f"{word} {when}" for when, word in theirs.hypothesis.items()) or "-"
        right = bool(differs) == bool(reason)
        if not right:
            print(f"\n{path.name}\n chaos   {theirs.ordered} {theirs.hypothesis}")
            print(f" harness {ours.ordered} {ours.hypothesis}")
            print(f"--- chaos\n{theirs.text[-1500:]}\n--- harness\n{ours.text[-2500:]}")
        note = reason or VERDICTS.get(path.stem, "")
        yield (
            path.name,
            str(len(theirs.log)),
            told,
            theirs.end,
            ours.end,
            f"{differs or 'same'}{note and ': ' + note}",
            right,
        )


def main() -> int:
    """Print the table; 1 when something differs without a reason, or a reason is out of date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help="documents by the begin of their names; all when none is given")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table to a file, too")
    given = parser.parse_args()
    paths = [path for path in documents() if not given.names or path.name.startswith(tuple(given.names))]
    lines = ["| document | calls | hypothesis | chaos run | harness run | compared |", "|---|---|---|---|---|---|"]
    wrong = 0
    for *cells, right in rows(paths):
        wrong += not right
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    summary = f"{len(paths)} documents, {wrong} with a difference that has no reason"
    print(summary)
    if given.write:
        text = given.write.read_text() if given.write.exists() else ""
        head, _, _ = text.partition(lines[0])
        given.write.write_text(head + "\n".join([*lines, "", f"{summary}.", ""]))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

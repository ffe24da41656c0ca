"""Mutate documents and load them: none may end in anything but an experiment or a UsageError.

`python -m bench.fuzz_documents --count 20000 --seed 1`. One in `--whole` goes through the command line as well, where
a traceback or exit code 7 counts as a failure. What fails is written to a file and named.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.documents import document
from harness.engine import activities
from harness.engine.planning import plan
from harness.errors import UsageError
from harness.model.plan import Plan

ROOT = Path(__file__).parents[1]
SOURCES = ("experiments", "tests/conformance", "tests/e2e/documents", "bench")
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3.5, 1e308, 10**30, "", " ", "x", "${x}", "${", "$", "\u0000", "\U0001f600",
    "a" * 5000, "harness", "probe", "action", "python", "default", "1s", "50/s", "99%", "..", "/", "*", "(", "[",
    "app in (a", [], {}, [None], [[]], [{}], {"": ""}, {"type": "env"}, {"type": "env", "key": "NOT_SET"},
    {"type": "probe"}, {"type": "vault"}, {"ref": "x"}, {"name": "harness"}, {"type": "range"},
    {"type": "jsonpath", "path": "$["},
    {"type": "regex", "pattern": "("},
    {"namespace": "shop", "selector": "a=b", "pods": 1},
)  # fmt: skip
FUNCTIONS = (
    ("chaosk8s.pod.actions", "terminate_pods"),
    ("chaosk8s.pod.actions", "delete_pods"),
    ("chaosk8s.node.actions", "cordon_node"),
    ("chaosk8s.node.actions", "drain_nodes"),
    ("chaosk8s.node.actions", "uncordon_node"),
    ("chaosk8s.deployment.actions", "scale_deployment"),
    ("harness.chaostoolkit.actions", "pod_kill"),
)
ARGUMENTS = (
    "label_selector",
    "name_pattern",
    "qty",
    "mode",
    "all",
    "rand",
    "order",
    "grace_period",
    "ns",
    "name",
    "count",
)
BYTES = tuple("{}[]:,\"'\\\n\t &*!|>%@`-#?0aé\ufeff\u2028\x00\x1b")
Change = Callable[[random.Random, Any], Any]


def seeds() -> list[tuple[str, Any]]:
    """Read the documents that mutations begin from: their text and their values."""
    found = []
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".yaml", ".json"):
                text = path.read_text(encoding="utf-8")
                with contextlib.suppress(yaml.YAMLError, ValueError):
                    found.append((text, json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)))
    return found


def odd(chance: random.Random) -> Any:
    """Choose an odd value; a copy, because what stands twice in a document would be changed twice."""
    return copy.deepcopy(chance.choice(ODD))


def places(value: Any) -> list[tuple[Any, Any]]:
    """List every container of a value with each of its keys."""
    own = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [(value, key) for key, _ in own] + [place for _, item in own for place in places(item)]


def mutate(chance: random.Random, data: Any, others: Sequence[Any]) -> Any:
    """Change a few places of a document's values."""
    data = json.loads(json.dumps(data, default=str))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        found = places(data)
        if not found:
            return odd(chance)
        where, key = chance.choice(found)
        match chance.randrange(9):
            case 0:
                del where[key]
            case 1 | 2:
                where[key] = odd(chance)
            case 3 if isinstance(where, dict):
                where[str(key) + chance.choice(("s", "", "_", "x"))] = where.pop(key)
            case 4:
                theirs, theirkey = chance.choice(places(chance.choice(others)) or [(found, 0)])
                where[key] = json.loads(json.dumps(theirs[theirkey], default=str))
            case 5 if isinstance(where, list):
                where.insert(0, odd(chance))
            case 6 if isinstance(where, dict):
                where[chance.choice(document.TOP)] = odd(chance)
            case 7 if isinstance(where[key], dict) and "module" in where[key]:
                module, func = chance.choice(FUNCTIONS)
                arguments = {name: odd(chance) for name in chance.sample(ARGUMENTS, chance.randrange(4))}
                where[key] = {"type": "python", "module": module, "func": func, "arguments": arguments}
            case _:
                where[key] = [where[key]] if chance.random() < 0.5 else {"x": where[key]}
    return data


def scramble(chance: random.Random, text: str) -> str:
    """Change a few letters of a document's text."""
    letters = list(text)
    for _ in range(chance.choice((1, 2, 4, 16))):
        at = chance.randrange(len(letters) + 1)
        match chance.randrange(4):
            case 0:
                letters[at:at] = chance.choice(BYTES)
            case 1:
                del letters[at : at + chance.randrange(1, 30)]
            case 2:
                letters[at:at] = letters[at : at + chance.randrange(1, 200)]
            case _:
                letters[at : at + 1] = chance.choice(BYTES)
    return "".join(letters)


def one(chance: random.Random, known: Sequence[tuple[str, Any]]) -> tuple[str, str]:
    """Make one mutated document: the ending of its name and its text."""
    text, data = chance.choice(known)
    if chance.random() < 0.35:
        return chance.choice((".yaml", ".json")), scramble(chance, text)
    changed = mutate(chance, data, [values for _, values in known])
    if chance.random() < 0.5:
        return chance.choice((".json", ".json", ".yaml")), json.dumps(changed, default=str)
    return ".yaml", yaml.safe_dump(changed, allow_unicode=True, sort_keys=False)


def loaded(text: str, ending: str) -> str:
    """Load one document and say how that ended."""
    try:
        found = document.loads(text, Path(f"cart/fuzz{ending}"), promised=True)
    except UsageError as error:
        str(error).encode()
        return "refused"
    # What a run would make of it before anything is touched.
    json.dumps(found.stated, default=str)
    plan.text(found, Plan.nothing("fuzz", 1, "none")).encode()
    for step in (*found.probes, *found.method, *found.rollbacks):
        json.dumps(activities.document(step), default=str)
        activities.limit(found, step)
    return "taken"


def through(path: Path) -> str:
    """Put one file through the command line, as `harness list` has it."""
    from harness import cli

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        words, sys.argv = sys.argv, ["harness", "list", str(path)]
        try:
            code = cli._run()
        finally:
            sys.argv = words
    if code == 7 or "Traceback" in err.getvalue():
        raise AssertionError(f"exit {code}: {err.getvalue()}")
    return f"exit {code}"


def main() -> int:
    """Load mutated documents until enough were; 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--whole", type=int, default=50, help="one in so many goes through the command line")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz", help="where failures go")
    given = parser.parse_args()
    known, ended, failed, began = seeds(), Counter[str](), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        for number in range(given.count):
            chance = random.Random(f"{given.seed} {number}")
            ending, text = one(chance, known)
            try:
                ended[loaded(text, ending)] += 1
                if number % given.whole == 0:
                    path = Path(place) / f"fuzz{ending}"
                    path.write_bytes(text.encode("utf-8", "surrogatepass"))
                    ended[through(path)] += 1
            except Exception:
                failed += 1
                given.keep.mkdir(parents=True, exist_ok=True)
                kept = given.keep / f"{given.seed}-{number}{ending}"
                kept.write_bytes(text.encode("utf-8", "surrogatepass"))
                print(f"{kept}\n{traceback.format_exc()}", file=sys.stderr)
                if failed >= 20:
                    break
    seconds = time.monotonic() - began
    print(f"documents: {sum(ended.values())} ended as they should ({dict(ended)}), {failed} did not, {seconds:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

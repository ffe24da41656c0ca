"""Ask expr-lang itself what conditions come to, and compare: `python -m bench.conditions [--dialect 1.9]`.

Conditions are drawn at random, results with them; `bench/expr` is a small program around the library that Argo Rollouts
uses, built with Go. Whether a condition holds, fails to hold or is an error must be the same; how an error is worded is
counted, and differs only where no template would ever have it. `--write` keeps some answers of each kind for the tests.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from harness.analysis import condition, syntax
from harness.analysis.checking import Mistake
from harness.analysis.syntax import Dialect

PROGRAM = Path(__file__).parent / "expr"
VALUES = ("0", "1", "0.5", "0.95", "0.949", "2", "NaN", "+Inf", "-Inf", "-1", "1.5", "1e300")
ATOMS = (
    "result", "result", "result[0]", "result[1]", "result[-1]", "len(result)", "0", "1", ".5", "0.95", "2", "1.5e1",
    "true", "false", "nil", "'a'", '"1.5"', "'1'", "[1, 2]", "[0.5]", "[]", "nope", "default(result, 0)",
    "isNil(result)",
)  # fmt: skip
SIGNS = ("<", ">", "<=", ">=", "==", "!=", "&&", "||", "and", "or", "+", "-", "*", "/", "%", "**", "^", "in", "not in")
# What templates are made of.
USUAL = (
    "result[0] >= .95", "result >= .95", "result < 0.5", "len(result) == 0", "len(result) > 0", "isNaN(result)",
    "isNaN(result[0])", "isInf(result)", "all(result, {# > 1})", "any(result, # < 0.5)", "default(result, 0) < .05",
    "2 in result", "count(result, {# > 0}) >= 1", "asInt(result) == 1", "asFloat(result) >= 0.5", "true", "false", "1",
    "len(filter(result, {# >= 1})) > 0", "result[1] > 0", "1 < result < 2", "not isNaN(result)", "unknown",
)  # fmt: skip
KEPT = {"holds": 130, "fails": 130}
KEPT_OF_AN_ERROR = 12
LONGEST = 70


def drawn(draw: random.Random) -> dict[str, Any]:
    """Draw a condition and a result."""
    if draw.random() < 0.6:
        text = " ".join(_joined(draw, [draw.choice(USUAL) for _ in range(draw.randint(1, 3))]))
    else:
        text = _expression(draw, draw.randint(1, 4), inside=False)
    scalar = draw.random() < 0.4
    result = draw.choice(VALUES) if scalar else [draw.choice(VALUES) for _ in range(draw.choice([0, 0, 1, 1, 1, 2, 3]))]
    return {"condition": text, "result": result}


def _joined(draw: random.Random, parts: list[str]) -> list[str]:
    found = parts[:1]
    for part in parts[1:]:
        found += [draw.choice(["&&", "||", "and", "or"]), part]
    return found


def _expression(draw: random.Random, depth: int, *, inside: bool) -> str:
    def part() -> str:
        return _expression(draw, depth - 1, inside=inside)

    chance = draw.random()
    if depth <= 0 or chance < 0.15:
        return draw.choice([*ATOMS, *["#"] * 10] if inside else ATOMS)
    if chance < 0.5:
        return f"{part()} {draw.choice(SIGNS)} {part()}"
    if chance < 0.6:
        return draw.choice(["!", "not ", "-", "+"]) + part()
    if chance < 0.68:
        return f"({part()})"
    if chance < 0.77:
        return f"{draw.choice(['isNaN', 'isInf', 'asInt', 'asFloat', 'len', 'isNil'])}({part()})"
    if chance < 0.9:
        over = draw.choice(["result", "result", "[1, 2]", part()])
        asked = _expression(draw, depth - 1, inside=True)
        return f"{draw.choice(['all', 'any', 'none', 'one', 'filter', 'count'])}({over}, {{{asked}}})"
    if chance < 0.95:
        return f"{part()} < {part()} < {part()}"
    return f"({part()})[{draw.choice(['0', '1', '-1', '0.5', 'len(result)'])}]"


def ours(asked: dict[str, Any], dialect: Dialect = Dialect.V1_10) -> dict[str, Any]:
    """Say what a condition comes to here."""
    given = asked["result"]
    result = float(given) if isinstance(given, str) else [float(one) for one in given]
    try:
        return {"holds": condition.holds(syntax.parse(asked["condition"], dialect), result, dialect)}
    except Mistake as error:
        return {"error": str(error)}
    except ValueError as error:
        return {"refused": str(error)}


def theirs(asked: list[dict[str, Any]], dialect: Dialect) -> list[dict[str, Any]]:
    """Say what each condition comes to there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text, mod = (PROGRAM / "main.go").read_text(encoding="utf-8"), "go"
        if dialect is Dialect.V1_9:
            text, mod = text.replace("expr-lang/expr", "antonmedv/expr"), "older"
        (folder / "main.go").write_text(text, encoding="utf-8")
        for kind in ("mod", "sum"):
            shutil.copy(PROGRAM / f"{mod}.{kind}", folder / f"go.{kind}")
        subprocess.run(["go", "build", "-mod=readonly", "-o", "conditions", "."], cwd=folder, check=True)
        lines = "".join(json.dumps(one) + "\n" for one in asked)
        done = subprocess.run([folder / "conditions"], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> int:
    """Compare, and say how often what was the same; 1 when a condition comes to something else."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=20000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--dialect", type=Dialect, choices=list(Dialect), default=Dialect.V1_10)
    options.add_argument("--write", type=Path)
    chosen = options.parse_args()
    draw = random.Random(chosen.seed)
    asked = [drawn(draw) for _ in range(chosen.count)]
    seen, kinds, kept = Counter[str](), Counter[str](), []
    for one, there in zip(asked, theirs(asked, chosen.dialect), strict=True):
        here = ours(one, chosen.dialect)
        # Whatever is drawn is read with 1.10; the older language has a `not in` that nobody can have meant.
        if "refused" in here and chosen.dialect is Dialect.V1_9:
            seen["refused here"] += 1
        elif here.keys() != there.keys() or ("holds" in here and here != there):
            seen["different"] += 1
            print("different:", one, "here", here, "there", there)
        else:
            seen["same" if here == there else "same error in other words"] += 1
            kind = "holds" if there.get("holds") else "fails" if "holds" in there else there["error"].split()[0]
            line = json.dumps({**one, **there}, ensure_ascii=False)
            if here == there and len(one["condition"]) <= LONGEST and line not in kept:
                kinds[kind] += 1
                kept += [line] if kinds[kind] <= KEPT.get(kind, KEPT_OF_AN_ERROR) else []
    print(", ".join(f"{count} {what}" for what, count in seen.most_common()))
    if chosen.write:
        chosen.write.write_text("\n".join(kept) + "\n", encoding="utf-8")
    return 1 if seen["different"] else 0


if __name__ == "__main__":
    sys.exit(main())

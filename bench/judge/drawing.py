"""Draw one metric: how it is asked, its conditions, its limits, and what it is answered."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any

Object = dict[str, Any]

ADDRESS = "http://replies.stack-report-judge:8080"
ANSWERS = 40
# Of a vector or a matrix; some are wrong of the empty one alone.
OF_VECTORS = (
    "result[0] >= 0.95", "result[0] >= 0.95", "result[0] >= 0.95", "result[0] < 0.5", "result[0] > 0.6",
    "len(result) == 0 || result[0] >= 0.95", "len(result) > 0 && result[0] >= 0.95", "all(result, {# > 0.6})",
    "any(result, # < 0.5)", "none(result, {isNaN(#)})", "one(result, {# > 0.9})", "count(result, {# > 0.6}) >= 1",
    "len(filter(result, {# >= 0.95})) > 0", "result[0] > 0.9 and not isNaN(result[0])", "isNaN(result[0])",
    "isInf(result[0]) || result[0] > 0.6", "result[1] > 0.5", "result[-1] > 0.5", "0.4 in result",
    "asInt(result[0]) == 0", "asFloat(result[0]) > 0.5", "isNil(result) || result[0] > 0.6",
    "result[0] > 0.3 && result[0] < 0.95", "result[0] * 100 >= 95", "true", "false",
)  # fmt: skip
OF_SCALARS = (
    "result >= 0.95", "result >= 0.95", "result >= 0.95", "result < 0.5", "result > 0.6", "result in [0.99, 1]",
    "0.3 < result && result < 0.95", "isNaN(result) || result >= 0.95", "!isNaN(result) && result > 0.6",
    "isInf(result)", "asInt(result) == 0", "asFloat(result) >= 0.95", "default(result, 0) >= 0.95",
    "not isNil(result)", "result * 2 - 1 > 0",
)  # fmt: skip
# These are an Error whatever is answered.
MISTAKES = (
    "result >= 0.95 && result[0] >= 0.95", "default(result[0], 0) > 0.5",
    "isNaN(result == 1)", "0.3 < result < 0.95",
    "nope > 1", "nope(result)", "1", "len(result) > 0 > 1", "asInt('many') > 0", "result == '0.99'", "'0.99'",
    "isNaN()", "result + true > 1", "asFloat(result, 1) > 0", "not 1",
)  # fmt: skip
# What lies between them is Inconclusive.
BETWEEN = {"vector": ("result[0] >= 0.95", "result[0] < 0.5"), "scalar": ("result >= 0.95", "result < 0.5")}
GOOD = {
    "vector": ["[0.99]", "[0.95]", "[1]"],
    "scalar": ["0.99", "0.95", "1"],
    "web": ["web 0.99", "web 0.95", "web 1"],
}
BAD = {"vector": ["[0.4]", "[0.7]", "[0]"], "scalar": ["0.4", "0.7", "0"], "web": ["web 0.4", "web 0.7"]}
ODD = {
    "vector": [
        "[NaN]", "[NaN]", "[NaN]", "[]", "[]", "[]", "[]", "[+Inf]", "[-Inf]", "[0.99,0.4]", "[0.99,NaN]",
        "[0.7,0.7,0.99]", "[0.00000012]", "[1000000000000000000000]", "[0.99] with a warning", "matrix", "histogram",
        "0.99",
    ],
    "scalar": ["NaN", "+Inf", "-Inf", "[0.99]", "[]"],
    "web": ["web without it", "web 0.7"],
}  # fmt: skip
WRONG = {
    "vector": [
        "HTTP 400", "HTTP 422", "HTTP 404", "HTTP 500", "HTTP 503", "error with 200", "text", "no JSON", "cut off",
        "nothing",
    ],
    "scalar": ["HTTP 400", "HTTP 500", "HTTP 503", "no JSON"],
    "web": ["web HTTP 500", "web HTTP 404"],
}  # fmt: skip
# How often an answer is good, bad, odd or wrong.
MOODS = (
    *((9, 1, 0, 0), (9, 1, 0, 0), (6, 3, 1, 0), (3, 6, 0, 0), (0, 1, 0, 0)),
    *((4, 1, 4, 0), (0, 0, 1, 0), (6, 1, 0, 2), (0, 0, 0, 1), (3, 3, 3, 1)),
)


def metric(draw: random.Random, name: str, used: Collection[str], *, whole: bool) -> tuple[Object, list[str]]:
    """Draw a metric that may use these arguments, its intervals in whole seconds or not, and its answers by name."""
    shape = draw.choice(("vector", "vector", "vector", "scalar", "web"))
    found: Object = {"name": name, "provider": _provider(name, shape, used)}
    _conditions(draw, found, shape, used)
    if draw.random() < 0.85:
        intervals = ("1s", "1s", "2s", "3s") if whole else ("1s", "1s", "2s", "3s", "1500ms", "2.5s")
        found["interval"] = "{{args.interval}}" if "interval" in used else draw.choice(intervals)
    if draw.random() < 0.25:
        found["initialDelay"] = draw.choice(("0s", "1s", "2s", "5s"))
    _limits(draw, found, used)
    return found, _answers(draw, shape)


def _provider(name: str, shape: str, used: Collection[str]) -> Object:
    if shape == "web":
        return {"web": {"url": f"{ADDRESS}/web/{{{{args.run}}}}/{name}", "jsonPath": "{$.value}"}}
    note = "  # {{ args.note }}" if "note" in used else ""
    query = f'sum(rate(asked{{run="{{{{args.run}}}}",metric="{name}"}}[1m])){note}'
    return {"prometheus": {"address": ADDRESS, "query": query}}


def _conditions(draw: random.Random, found: Object, shape: str, used: Collection[str]) -> None:
    known = OF_VECTORS if shape == "vector" else OF_SCALARS
    for key, share in (("successCondition", 0.8), ("failureCondition", 0.4)):
        if draw.random() < share:
            found[key] = draw.choice(MISTAKES if draw.random() < 0.1 else known)
    if draw.random() < 0.25:
        found["successCondition"], found["failureCondition"] = BETWEEN.get(shape, BETWEEN["scalar"])
    if "threshold" in used:
        found["successCondition"] = f"result{'[0]' * (shape == 'vector')} >= {{{{args.threshold}}}}"


def _limits(draw: random.Random, found: Object, used: Collection[str]) -> None:
    for key, most in (("failureLimit", 3), ("inconclusiveLimit", 2), ("consecutiveErrorLimit", 2)):
        if draw.random() < 0.45:
            found[key] = draw.randint(0, most)
    if "limit" in used:
        found["failureLimit"] = "{{args.limit}}"
    if draw.random() < 0.25:
        found["consecutiveSuccessLimit"] = draw.randint(0, 3)
        if found["consecutiveSuccessLimit"] and draw.random() < 0.4:
            found["failureLimit"] = -1
    if "interval" not in found:
        found.update({"count": draw.choice((0, 1))} if draw.random() < 0.3 else {})
    elif draw.random() < 0.85:
        # Whatever an argument gives is at most 2 and 4.
        limit = 2 if "limit" in used else max(found.get("failureLimit", 0), 0)
        least = max(limit + found.get("consecutiveSuccessLimit", 0), found.get("inconclusiveLimit", 0), 1)
        found["count"] = "{{args.count}}" if "count" in used and least <= 3 else least + draw.randint(0, 4)


def _answers(draw: random.Random, shape: str) -> list[str]:
    mood = draw.choice(MOODS)
    kinds = (GOOD, BAD, ODD, WRONG)
    if draw.random() < 0.15:
        return [draw.choice(draw.choices(kinds, mood)[0][shape])]
    return [draw.choice(kind[shape]) for kind in draw.choices(kinds, mood, k=ANSWERS)]

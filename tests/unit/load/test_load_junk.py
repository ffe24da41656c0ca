"""Whatever stands in a `load` section is refused with a reason or can be sent: nothing escapes as a traceback."""

from __future__ import annotations

import asyncio
import copy
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from harness.errors import UsageError
from harness.load.requests import Requests
from harness.load.spec import Spec
from harness.model import load as values
from harness.model import rate
from harness.source.closed import Problems, Section
from harness.source.lines import Source

ROUNDS = int(os.environ.get("HARNESS_JUNK", "400"))
WHOLE = yaml.safe_load("""
url: https://shop.example:8443/api/
method: POST
headers: {accept: application/json, Authorization: {env: HOME}, x-user: "${cart}"}
body: {a: "${cart}"}
expect: {status: 2xx, json: {a: 1}}
values: {cart: {from: 1, to: 3}, size: [small, 42]}
operations:
  - {name: read, weight: 9, url: "/carts/${cart}", expect: {status: [200, 404], json: {state: open}}}
  - {name: add, method: put, url: "https://other.example/items", headers: {x-size: "${size}"}, body: [1, "${cart}"]}
stages: [{rate: 20/s, for: 10s}, {rate: 120/m}]
rate: 5/s
ramp: 1s
timeout: 2s
redirects: 2
http: 2
tls: {server-name: shop, verify: false}
workload: mixed
""")
# What does not stand together: several operations, one request, the name of a workload.
APART = (
    ("method", "body", "workload", "rate"),
    ("operations", "workload", "stages"),
    ("method", "body", "operations", "values", "expect", "rate"),
)
JUNK = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        1.5,
        10**30,
        "",
        " ",
        "a",
        "${",
        "${}",
        "${a}",
        "$${cart}",
        "\n",
        "\0",
        "ü",
    ),
    *(
        "http://",
        "http://[",
        "http://[::1]:1/",
        "//a",
        "/",
        "/a?b#c",
        "http://ü.example/",
        "http://a:99999",
        "javascript:1",
    ),
    *(
        "1/s",
        "0/s",
        "1e9/s",
        "5s",
        "-5s",
        "2xx",
        "200-100",
        "999",
        "mixed",
        "../mixed",
        "mixed.yaml",
        "/etc/passwd",
        ".",
    ),
    *([], [[]], {}, {"a": {}}, {"": ""}, {"from": 1}, {"from": 5, "to": 10**9}, {"env": "HOME"}, {"file": "/dev/null"}),
)


def mutated(random: Random) -> Any:
    """Take a load that says everything, take some of it away, and put junk in some places."""
    made = copy.deepcopy(WHOLE)
    for key in random.choice(APART):
        del made[key]
    for key in random.sample(sorted(made), random.randrange(3)):
        del made[key]
    for _ in range(random.randrange(4)):
        spot: Any = {"load": made}
        key: Any = "load"
        while isinstance(spot[key], dict | list) and spot[key] and random.random() < 0.8:
            spot = spot[key]
            key = random.choice(sorted(spot)) if isinstance(spot, dict) else random.randrange(len(spot))
        if spot is not None and key != "load":
            junk = copy.deepcopy(random.choice(JUNK))
            if isinstance(spot, dict) and random.random() < 0.2:
                spot[str(junk)] = spot.pop(key)
            else:
                spot[key] = junk
    return made


def test_junk_is_refused_with_a_reason_or_can_be_sent(tmp_path: Path) -> None:
    random, sent = Random(5), 0
    for _ in range(ROUNDS):
        junk = mutated(random)
        problems = Problems(Source(Path("x.yaml"), junk, {}))
        found = written.read(Section(problems, junk, (), "'load'", written.KEYS), tmp_path)
        values.lines(found)
        values.record(found)
        if problems.found:
            assert all(str(error).strip() for _, error in problems.found)
            continue
        spec = Spec(found, tmp_path / "x", "http://127.0.0.1:1", "api.example")
        assert all(origin.host and 0 < origin.port < 65_536 for origin in spec.origins)
        assert spec.server_names is not None
        try:
            made = Requests(found, spec.url, spec.host)
        except UsageError:
            continue  # a variable or a file that is not there
        for _ in range(3):
            request = made.draw(random)
            head, _, body = request.in_words().partition(b"\r\n\r\n")
            assert body == request.body
            assert head.count(b"\r\n") == len(request.headers)
            assert b"\0" not in head
            request.outline()
        assert next(rate.steady(found.rate, found.ramp).times()) == 0
        if found.stages:
            assert rate.staged(found.stages, found.ramp).due(0, 100) > 0
        sent += 1
    assert sent > ROUNDS / 50


ANSWER = (
    b"HTTP/1.1 200 OK\r\nx-envoy-attempt-count: 2\r\nx-served-by: pod-1\r\nlocation: /a\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
    b'8\r\n{"a": 1}\r\n0\r\nx-trailer: 1\r\n\r\n'
)
# An answer of HTTP/2: its settings, the end of ours, headers (:status 200), data that ends it.
FRAMES = bytes.fromhex("00000004000000000000000004010000000000000101040000000188000008000100000001") + b'{"a": 1}'


def garbled(random: Random, answer: bytes) -> bytes:
    """Change, drop, double or add some bytes."""
    made = bytearray(answer)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(made) + 1)
        long = random.randrange(1, 9)
        junk = bytes(random.choice((0, 10, 13, 32, 48, 58, 65, 128, 255)) for _ in range(long))
        made[at : at + random.choice((0, long))] = random.choice((b"", junk, made[at : at + long] * 2))
    return bytes(made)


@pytest.mark.parametrize("http", ["1.1", "2"])
def test_a_garbled_answer_is_an_operation_like_any_other(peers: Any, drive: Any, http: str) -> None:
    random = Random(11)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            writer.write(garbled(random, ANSWER if http == "1.1" else FRAMES))
            await writer.drain()
            if random.random() < 0.3:
                return

    load = {
        "url": f"http://127.0.0.1:{peers.start(serve)}/",
        "http": http,
        "rate": "400/s",
        "timeout": "1s",
        "redirects": 2,
        "expect": {"json": {"a": 1}},
    }
    summary, found = drive(load, seconds=ROUNDS / 400)
    assert summary.not_sent == 0
    assert not any(one.unsent for one in found)
    assert {one.status for one in found} >= {0, 200}
    assert not all(one.ok for one in found)

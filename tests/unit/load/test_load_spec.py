from __future__ import annotations

from itertools import pairwise, takewhile
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.load import spec as specs
from harness.load import written
from harness.load.requests import Requests
from harness.model import rate
from harness.model.load import Stage

GOOD = {"load": {"workload": "mixed", "rate": "50/s"}, "url": "http://127.0.0.1:18080", "out": "x.bin"}


def offsets(profile: rate.Profile, seconds: float) -> list[float]:
    return list(takewhile(lambda due: due < seconds, profile.times()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "http://10.0.0.1"}, "load is not sent to"),
        ({"url": "http://127.0.0.1.evil.example"}, "load is not sent to"),
        ({"url": "http://127.0.0.1@evil.example/"}, "load is not sent to"),
        ({"url": "ftp://127.0.0.1"}, "no http or https URL"),
        ({"url": "http://127.0.0.1:port"}, "no URL"),
        ({"url": "http://127.0.0.1:1/base"}, "more than scheme, host and port"),
        ({"url": "http://me:secret@127.0.0.1"}, "more than scheme, host and port"),
        ({"load": {"workload": "mixed", "rate": "0/s"}}, "above zero"),
        ({"load": {"workload": "mixed", "rate": "2001/s"}}, "not between 0 and 2000"),
        ({"load": {"workload": "mixed", "rate": 5}}, "5 is not a rate"),
        ({"load": {"workload": "else", "rate": "1/s"}}, "'else' is not known"),
        ({"load": {"url": "http://10.0.0.1/", "rate": "1/s"}}, "load is not sent to '10.0.0.1'"),
        ({"load": 50}, "must be a mapping"),
        ({"seconds": 7201}, "seconds is 7201"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"load": {"workload": "mixed", "rate": "1/s", "ramp": "500s"}, "seconds": 400}, "ramp is 500"),
        ({"rates": 5}, "unknown key 'rates'"),
        ({"seed": "fast"}, "wrong kind"),
    ],
)
def test_a_wrong_load_is_a_usage_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        specs.from_mapping({**GOOD, **change})


def test_a_gateway_with_a_trailing_slash_is_one() -> None:
    assert specs.from_mapping({**GOOD, "url": "http://127.0.0.1:1/"}).origins == ((False, "127.0.0.1", 1),)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UsageError, match="out is missing"):
        specs.from_mapping({key: value for key, value in GOOD.items() if key != "out"})


@pytest.mark.parametrize("url", ["http://localhost:1", "http://[::1]:1", "http://127.0.0.1:1"])
def test_this_machine_is_allowed(url: str) -> None:
    assert specs.from_mapping({**GOOD, "url": url}).url == url


def test_a_foreign_host_is_allowed_by_name() -> None:
    spec = specs.from_mapping({**GOOD, "url": "https://staging.example", "allow": ["staging.example"]})
    assert spec.origins == ((True, "staging.example", 443),)


@given(pace=st.floats(0.5, 300), ramp=st.just(0.0) | st.floats(0.01, 5), more=st.floats(0.1, 5))
def test_the_schedule_never_goes_back_and_keeps_its_rate(pace: float, ramp: float, more: float) -> None:
    due = offsets(rate.steady(pace, ramp), ramp + more)
    assert due == sorted(due)
    assert due[0] == 0
    assert len(due) == pytest.approx(pace * ramp / 2 + pace * more, abs=1.01)


def test_a_ramp_begins_slowly() -> None:
    due = offsets(rate.steady(100, 4), 8)
    assert sum(1 for offset in due if offset < 2) == pytest.approx(50, abs=1)
    assert sum(1 for offset in due if 4 <= offset < 8) == pytest.approx(400, abs=1)


STAGES = st.lists(st.tuples(st.floats(0.5, 300), st.floats(0.5, 5)), min_size=1, max_size=5)


@given(stages=STAGES, ramp=st.just(0.0) | st.floats(0.01, 0.5), start=st.floats(0, 100), parts=st.integers(1, 7))
def test_what_is_due_is_what_the_schedule_sends(
    stages: list[tuple[float, float]], ramp: float, start: float, parts: int
) -> None:
    profile = rate.staged([Stage(*stage) for stage in stages], ramp, start)
    length = sum(seconds for _, seconds in stages) + 1
    due = offsets(profile, start + length)
    assert due == sorted(due)
    assert len(due) == pytest.approx(profile.due(start, start + length), abs=1.01)
    edges = [start + length * part / parts for part in range(parts + 1)]
    whole = sum(profile.due(*pair) for pair in pairwise(edges))
    assert whole == pytest.approx(profile.due(start, start + length))


def test_a_stage_is_held_and_its_ramp_is_taken_out_of_its_own_time() -> None:
    profile = rate.staged([Stage(10, 2.0), Stage(20, 4.0), Stage(5)], 1.0)
    assert [profile.due(since, since + 1) for since in range(8)] == [10, 10, 15, 20, 20, 20, 12.5, 5]


@pytest.mark.parametrize("name", written.shipped())
def test_a_workload_asks_for_paths_of_the_interface(name: str) -> None:
    spec = specs.from_mapping({**GOOD, "load": {"workload": name, "rate": "1/s"}})
    random, made = Random(1), Requests(spec.load, spec.url, "api.example")
    requests = [made.draw(random) for _ in range(200)]
    assert {request.method for request in requests} <= {"GET", "POST"}
    assert all(request.target.startswith(("/api/v1/agents", "/api/v1/route")) for request in requests)
    assert all(bool(request.body) == (request.method == "POST") for request in requests)
    assert len({request.target + request.body.decode() for request in requests}) > 10
    assert {value for request in requests for name, value in request.headers if name == "host"} == {"api.example"}


def test_mixed_is_six_three_one() -> None:
    spec = specs.from_mapping(GOOD)
    random, made = Random(1), Requests(spec.load, spec.url, "")
    kinds = [made.draw(random).call for _ in range(4000)]
    shares = [kinds.count(kind) / len(kinds) for kind in range(4)]
    assert shares == pytest.approx([0.6, 0.03, 0.27, 0.1], abs=0.03)

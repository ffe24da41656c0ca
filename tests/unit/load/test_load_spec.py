from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.load import spec as specs
from harness.load.schedule import offsets
from harness.load.workloads import WORKLOADS
from harness.model import extension

GOOD = {"url": "http://127.0.0.1:18080", "workload": "mixed", "rate": 50, "out": "x.bin"}


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
        ({"rate": 0}, "rate is 0"),
        ({"rate": 2001}, "rate is 2001"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"seconds": 5401}, "seconds is 5401"),
        ({"ramp": 1000}, "ramp is 1000"),
        ({"workload": "else"}, "unknown workload"),
        ({"rates": 5}, "unknown key 'rates'"),
        ({"rate": "fast"}, "wrong kind"),
    ],
)
def test_a_wrong_load_is_a_usage_error(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        specs.from_mapping({**GOOD, **change})


def test_a_gateway_with_a_trailing_slash_is_one() -> None:
    assert specs.from_mapping({**GOOD, "url": "http://127.0.0.1:1/"}).address == ("127.0.0.1", 1, False)


def test_the_loader_and_the_load_know_one_fastest_rate() -> None:
    assert specs.from_mapping({**GOOD, "rate": extension.MAX_RATE}).rate == extension.MAX_RATE
    with pytest.raises(UsageError, match="rate is"):
        specs.from_mapping({**GOOD, "rate": extension.MAX_RATE + 1})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(UsageError, match="rate is missing"):
        specs.from_mapping({key: value for key, value in GOOD.items() if key != "rate"})


@pytest.mark.parametrize("url", ["http://localhost:1", "http://[::1]:1", "http://127.0.0.1:1"])
def test_this_machine_is_allowed(url: str) -> None:
    assert specs.from_mapping({**GOOD, "url": url}).url == url


def test_a_foreign_host_is_allowed_by_name() -> None:
    spec = specs.from_mapping({**GOOD, "url": "https://staging.example", "allow": ["staging.example"]})
    assert spec.address == ("staging.example", 443, True)


@given(rate=st.floats(0.5, 300), ramp=st.just(0.0) | st.floats(0.01, 5), more=st.floats(0.1, 5))
def test_the_schedule_never_goes_back_and_keeps_its_rate(rate: float, ramp: float, more: float) -> None:
    due = list(offsets(rate, ramp, ramp + more))
    assert due == sorted(due)
    assert due[0] == 0
    assert all(0 <= offset < ramp + more for offset in due)
    assert len(due) == pytest.approx(rate * ramp / 2 + rate * more, abs=1.01)


def test_a_ramp_begins_slowly() -> None:
    due = list(offsets(100, 4, 8))
    assert sum(1 for offset in due if offset < 2) == pytest.approx(50, abs=1)
    assert sum(1 for offset in due if 4 <= offset < 8) == pytest.approx(400, abs=1)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_a_workload_asks_for_paths_of_the_interface(name: str) -> None:
    random = Random(1)
    requests = [WORKLOADS[name](random) for _ in range(200)]
    assert {request.method for request in requests} <= {"GET", "POST"}
    assert all(request.path.startswith(("/api/v1/agents", "/api/v1/route")) for request in requests)
    assert all(bool(request.body) == (request.method == "POST") for request in requests)

"""What callers got is added up over all of them; where nobody who may was answered, no refusal says anything."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ObservationFailed
from probes import mesh

PODS = "/api/v1/namespaces/prod/pods"
MAY, MAY_NOT = "http://web/api", "http://web/debug"


def there(api: Any, *names: str) -> None:
    api.answers[PODS] = (200, {"items": [{"metadata": {"name": name}} for name in names]})


def told(may: dict[str, int], may_not: dict[str, int]) -> tuple[int, Any]:
    both = ((MAY, True, may), (MAY_NOT, False, may_not))
    return 200, [{"url": url, "may": right, "got": got} for url, right, got in both if got]


def asked(name: str, path: str, port: int = mesh.PORT) -> str:
    return f"{PODS}/{name}:{port}/proxy/{path}"


def test_what_was_let_in_is_added_up_over_all_callers(api: Any) -> None:
    there(api, "dashboard-1", "stranger-1")
    for name, number in (("dashboard-1", 2), ("stranger-1", 1)):
        api.answers[asked(name, "v1/let-in/60")] = (200, number)
    assert mesh.let_in("prod", 60) == 3
    assert (PODS, {"labelSelector": "caller", "limit": "500"}) in api.asked


def test_without_a_caller_nobody_knows_who_was_let_in(api: Any) -> None:
    there(api)
    with pytest.raises(ObservationFailed, match="no pod to ask"):
        mesh.let_in("prod", 60)


def test_a_caller_that_does_not_answer_is_no_zero(api: Any) -> None:
    there(api, "dashboard-1", "stranger-1")
    api.answers[asked("dashboard-1", "v1/let-in/60")] = (200, 0)
    api.answers[asked("stranger-1", "v1/let-in/60")] = (503, {"kind": "Status", "reason": "ServiceUnavailable"})
    with pytest.raises(ObservationFailed, match="did not answer"):
        mesh.let_in("prod", 60)


def test_callers_call_in_rounds_and_what_they_got_is_added_up(api: Any) -> None:
    there(api, "dashboard-1")
    api.answers[asked("dashboard-1", "v1/calls/5")] = told({"answered": 20, "503": 5}, {"403": 25})
    api.answers[asked("dashboard-1", "v1/calls/2")] = told({"answered": 10}, {"403": 9, "answered": 1})
    assert mesh.calls("prod", 12) == {
        f"dashboard-1 -> {MAY}": {"answered": 50, "503": 10},
        f"dashboard-1 -> {MAY_NOT}": {"403": 59, "answered": 1},
    }


@pytest.mark.parametrize("got", [{"403": 25}, {"reset": 25}, {}])
def test_where_nobody_who_may_call_was_answered_no_refusal_says_anything(api: Any, got: dict[str, int]) -> None:
    there(api, "dashboard-1")
    api.answers[asked("dashboard-1", "v1/calls/5")] = told(got, {"403": 25})
    with pytest.raises(ObservationFailed, match="nobody who may call was answered"):
        mesh.calls("prod")


def metrics(seconds: str) -> str:
    """What an agent tells, as the client library for Go writes it."""
    name = "istio_agent_cert_expiry_seconds"
    return f'# TYPE {name} gauge\n{name}{{resource_name="default"}} {seconds}\nistio_agent_go_goroutines 9\n'


def test_the_certificate_that_ends_first_counts(api: Any) -> None:
    there(api, "web-1", "web-2")
    api.answers[asked("web-1", "metrics", mesh.AGENT_PORT)] = (200, metrics("86000.5"))
    api.answers[asked("web-2", "metrics", mesh.AGENT_PORT)] = (200, metrics("8.5e+03"))
    assert mesh.certificate_seconds("prod", "app=web") == 8500


def test_a_proxy_without_a_certificate_is_told(api: Any) -> None:
    there(api, "web-1")
    api.answers[asked("web-1", "metrics", mesh.AGENT_PORT)] = (200, "istio_agent_go_goroutines 9\n")
    with pytest.raises(ObservationFailed, match="does not tell of its certificate") as failed:
        mesh.certificate_seconds("prod", "app=web")
    assert failed.value.where == "web-1"

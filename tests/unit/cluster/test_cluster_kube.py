"""The Kubernetes client: pages, refusals, watches."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from harness.cluster.kube import Kube
from harness.cluster.kubeconfig import Access
from harness.cluster.paths import deployments, nodes, pods
from harness.errors import ApiError, ClusterUnreachable, Exit

Answer = Callable[[httpx.Request], httpx.Response]


def kube(answer: Answer) -> Kube:
    client = Kube(Access(context="kind-test", server="http://api", namespace="default"))
    client._connection._client = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://api")
    return client


def refusal(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("server", "by_proxy"), [("http://127.0.0.1:6443", False), ("http://[::1]:6443", False), ("http://api:6443", True)]
)
def test_what_listens_on_this_machine_is_not_asked_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, server: str, by_proxy: bool
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    client = Kube(Access(context="c", server=server, namespace="default"))
    assert any(client._connection._client._mounts.values()) is by_proxy


def test_paths_name_a_collection_or_one_object() -> None:
    assert pods("shop") == "/api/v1/namespaces/shop/pods"
    assert pods("shop", "cart") == "/api/v1/namespaces/shop/pods/cart"
    assert nodes("n1") == "/api/v1/nodes/n1"
    assert deployments("shop", "cart") == "/apis/apps/v1/namespaces/shop/deployments/cart"


def test_a_list_reads_every_page_with_its_selectors() -> None:
    asked: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        last = "continue" in request.url.params
        metadata = {"resourceVersion": "7"} if last else {"continue": "next", "resourceVersion": "7"}
        return httpx.Response(200, json={"items": [{"page": len(asked)}], "metadata": metadata})

    found, version = anyio.run(lambda: kube(answer).list_at(nodes(), labels="zone=a"))
    assert (found, version) == ([{"page": 1}, {"page": 2}], "7")
    assert [question["labelSelector"] for question in asked] == ["zone=a", "zone=a"]
    assert all("fieldSelector" not in question for question in asked)


def test_a_refusal_keeps_status_reason_and_message() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json=refusal(404, "NotFound", "pods cart not found"))

    with pytest.raises(ApiError, match="pods cart not found") as caught:
        anyio.run(lambda: kube(answer).get(pods("shop", "cart")))
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")
    assert caught.value.where == "GET /api/v1/namespaces/shop/pods/cart"


def test_a_refusal_that_is_not_json_is_still_one() -> None:
    with pytest.raises(ApiError, match="bad gateway"):
        anyio.run(lambda: kube(lambda _: httpx.Response(502, text="bad gateway")).get(nodes()))


LOGIN = httpx.Response(200, html="<html>Sign in</html>")
SSO = httpx.Response(302, headers={"Location": "https://sso.example/login?next=nodes"})
NOT_KUBERNETES = {
    "a login page": LOGIN,
    "a redirect": SSO,
    "an answer cut off": httpx.Response(200, text='{"items": ['),
    "a list": httpx.Response(200, json=[]),
    "nothing": httpx.Response(200),
}


@pytest.mark.parametrize("answer", NOT_KUBERNETES.values(), ids=NOT_KUBERNETES)
@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get(nodes("n1")),
        lambda client: client.list(nodes()),
        lambda client: client.create(nodes(), {}),
        lambda client: client.replace(nodes("n1"), {}),
        lambda client: client.patch(nodes("n1"), {}),
        lambda client: client.delete(nodes("n1")),
        lambda client: client.evict({"metadata": {"name": "cart-1", "namespace": "shop", "uid": "uid-1"}}),
    ],
    ids=["get", "list", "create", "replace", "patch", "delete", "evict"],
)
def test_what_no_api_server_answers_is_no_answer(answer: httpx.Response, ask: Callable[[Kube], Any]) -> None:
    with pytest.raises(ClusterUnreachable, match="is no Kubernetes API server") as caught:
        anyio.run(lambda: ask(kube(lambda _: answer)))
    assert caught.value.where == "context kind-test"
    assert "http://api" in caught.value.what


def test_where_a_redirect_leads_is_said_without_what_it_carries_along() -> None:
    with pytest.raises(ClusterUnreachable) as caught:
        anyio.run(lambda: kube(lambda _: SSO).get(nodes()))
    assert caught.value.why == "GET /api/v1/nodes: 302 to https://sso.example/login"


@pytest.mark.parametrize("answer", [{}, {"value": 1}, {"kind": "NodeList", "metadata": {}}])
def test_a_list_without_items_is_none(answer: Any) -> None:
    with pytest.raises(ClusterUnreachable, match="is no Kubernetes API server"):
        anyio.run(lambda: kube(lambda _: httpx.Response(200, json=answer)).list(nodes()))


def test_an_empty_list_may_be_written_as_null() -> None:
    assert anyio.run(lambda: kube(lambda _: httpx.Response(200, json={"items": None})).list(nodes())) == []


TEXTS = ("<html>\n", "[]\n", "{}\n", '{"type": "ADDED", "object": 1}\n')


@pytest.mark.parametrize("answer", [SSO, *(httpx.Response(200, text=text) for text in TEXTS)])
def test_a_watch_of_no_api_server_ends(answer: httpx.Response) -> None:
    async def collect() -> None:
        async for _ in kube(lambda _: answer).watch(nodes()):
            pass

    with pytest.raises(ClusterUnreachable):
        anyio.run(collect)


@pytest.mark.parametrize("answer", [LOGIN, SSO], ids=["a page", "a redirect"])
def test_what_a_pod_answers_may_be_anything(answer: httpx.Response) -> None:
    assert anyio.run(lambda: kube(lambda _: answer).get_text(f"{pods('shop', 'cart-1')}:80/proxy/")) == answer.text


def test_a_text_is_asked_for_with_what_limits_it() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=request.url.params["since"])

    assert anyio.run(lambda: kube(answer).get_text(f"{pods('shop', 'cart-1')}:80/proxy/calls", since=1.5)) == "1.5"


def test_an_answer_that_cannot_be_unpacked_is_none() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    with pytest.raises(ClusterUnreachable):
        anyio.run(lambda: kube(answer).get(nodes()))


def test_an_eviction_is_of_this_very_pod_and_returns_refusals_instead_of_raising() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(429, json=refusal(429, "TooManyRequests", "budget"))

    pod = {"metadata": {"name": "cart-1", "namespace": "shop", "uid": "uid-1"}}
    status, body = anyio.run(lambda: kube(answer).evict(pod))
    assert (status, body["message"]) == (429, "budget")
    assert asked[0].url.path == "/api/v1/namespaces/shop/pods/cart-1/eviction"
    assert json.loads(asked[0].content)["deleteOptions"]["preconditions"] == {"uid": "uid-1"}


def test_a_server_that_is_gone_is_unreachable_with_a_hint() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    with pytest.raises(ClusterUnreachable, match="kind-test") as caught:
        anyio.run(lambda: kube(answer).get(nodes()))
    assert "harness up" in caught.value.hint


def test_a_delete_carries_its_grace_and_precondition() -> None:
    bodies: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(200, json={})

    anyio.run(lambda: kube(answer).delete(pods("shop", "cart"), grace=0, uid="u1", propagation="Foreground"))
    assert bodies[0]["gracePeriodSeconds"] == 0
    assert bodies[0]["preconditions"] == {"uid": "u1"}
    assert bodies[0]["propagationPolicy"] == "Foreground"


@pytest.mark.parametrize(
    ("kind", "media"),
    [("merge", "application/merge-patch+json"), ("json", "application/json-patch+json")],
)
def test_a_patch_says_what_kind_it_is(kind: Any, media: str) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    anyio.run(lambda: kube(answer).patch(nodes("n1"), {}, kind=kind))
    assert seen[0].headers["content-type"] == media


def test_an_apply_names_its_field_manager() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    anyio.run(lambda: kube(answer).patch(nodes("n1"), {}, kind="apply"))
    assert dict(seen[0].url.params) == {"fieldManager": "harness", "force": "true"}


def event(kind: str, version: str) -> str:
    return json.dumps({"type": kind, "object": {"metadata": {"name": "n1", "resourceVersion": version}}})


def expired() -> str:
    return json.dumps({"type": "ERROR", "object": refusal(410, "Expired", "too old")})


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client waited each time; it takes no time here."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("harness.cluster.kube.anyio.sleep", sleep)
    return waited


def busy(after: str, status: int = 429) -> httpx.Response:
    return httpx.Response(status, json=refusal(status, "Busy", "later"), headers={"Retry-After": after})


def test_a_busy_server_that_says_when_is_asked_again_then(pauses: list[float]) -> None:
    answers = [busy("1"), busy("0", 503), busy("3"), httpx.Response(200, json={"kind": "Node"})]
    assert anyio.run(lambda: kube(lambda _: answers.pop(0)).get(nodes("n1"))) == {"kind": "Node"}
    assert pauses == [1, 1, 3]


@pytest.mark.parametrize("answer", [busy("1"), busy("11"), httpx.Response(429), httpx.Response(503)])
def test_a_server_that_stays_busy_has_not_answered(pauses: list[float], answer: httpx.Response) -> None:
    with pytest.raises(ApiError) as caught:
        anyio.run(lambda: kube(lambda _: answer).get(nodes("n1")))
    assert caught.value.exit == Exit.USAGE
    assert sum(pauses) <= 10


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.delete(pods("shop", "cart")),
        lambda client: client.get_text(f"{pods('shop', 'cart')}/proxy/"),
    ],
    ids=["an effect is made when it was allowed", "what a pod answers is an answer"],
)
def test_what_is_not_asked_again(pauses: list[float], ask: Callable[[Kube], Any]) -> None:
    with pytest.raises(ApiError, match="429"):
        anyio.run(lambda: ask(kube(lambda _: busy("1"))))
    assert pauses == []


def test_a_server_that_wants_tls_and_is_asked_in_plain_text_is_told_with_what_mends_it() -> None:
    answer = httpx.Response(400, text="Client sent an HTTP request to an HTTPS server.\n")
    with pytest.raises(ClusterUnreachable, match="plain text") as caught:
        anyio.run(lambda: kube(lambda _: answer).get(nodes()))
    assert "https://" in caught.value.hint


def test_a_watch_that_ends_at_once_is_asked_for_again_after_a_pause(pauses: list[float]) -> None:
    answers = ["", "", event("ADDED", "5") + "\n", expired() + "\n"]

    async def collect() -> None:
        async for _ in kube(lambda _: httpx.Response(200, text=answers.pop(0))).watch(nodes()):
            pass

    with pytest.raises(ApiError, match="410"):
        anyio.run(collect)
    assert len(pauses) == 2


def test_a_watch_goes_on_from_where_it_was_and_says_when_that_is_too_old() -> None:
    since: list[str | None] = []
    answers = ["\n".join([event("ADDED", "5"), event("BOOKMARK", "9")]), expired()]

    def answer(request: httpx.Request) -> httpx.Response:
        since.append(request.url.params.get("resourceVersion"))
        return httpx.Response(200, text=answers[len(since) - 1] + "\n")

    kinds: list[str] = []

    async def collect() -> None:
        async for kind, _ in kube(answer).watch(nodes(), since="3"):
            kinds.append(kind)

    with pytest.raises(ApiError) as caught:
        anyio.run(collect)
    assert caught.value.status == 410
    assert kinds == ["ADDED"]
    assert since == ["3", "9"]

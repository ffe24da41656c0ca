"""What a load expects, follows, sends along, and how fast it goes: as the document says."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import re
import textwrap
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml

from harness.documents import document
from harness.documents.provider import ACTIONS
from harness.errors import UsageError
from harness.journal import operations
from harness.load import answer, exchange, process
from harness.load.requests import Request, origin_of
from harness.model.load import Expect

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


class Shop:
    """A service that answers by its table, and remembers what it was asked."""

    def __init__(self, answers: dict[str, tuple[str, str, str]] | None = None) -> None:
        self.answers = answers or {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        while True:
            head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = head.split(" ")
            self.seen.append((method, target, headers, body))
            status, more, content = self.answers.get(target, ("200 OK", "", "{}"))
            writer.write(f"HTTP/1.1 {status}\r\n{more}content-length: {len(content)}\r\n\r\n{content}".encode())
            await writer.drain()


@pytest.mark.parametrize(
    ("status", "content", "expect", "amiss"),
    [
        ("200 OK", '{"state": "ok", "more": 1}', {"json": {"state": "ok"}}, ""),
        ("200 OK", '{"state": "down"}', {"json": {"state": "ok"}}, "json state differs"),
        ("200 OK", '{"a": {"b": [1, 2]}}', {"json": {"a": {"b": [1, 2]}}}, ""),
        ("200 OK", '{"a": {"b": [1]}}', {"json": {"a": {"b": [1, 2]}}}, "json a.b differs"),
        ("200 OK", '{"a": {}}', {"json": {"a": {"b": None}}}, "json a.b is missing"),
        ("200 OK", '{"a": 1}', {"json": {"a": True}}, "json a differs"),
        ("200 OK", '{"a": 1.0}', {"json": {"a": 1}}, ""),
        ("200 OK", "[1]", {"json": {"a": 1}}, "json itself is no mapping"),
        ("200 OK", "<html>", {"json": {"a": 1}}, "no JSON"),
        ("200 OK", "", {"json": {"a": 1}}, "no JSON"),
        ("200 OK", "[" * 100_000, {"json": {"a": 1}}, "no JSON"),
        ("200 OK", '{"a": "' + "x" * 2_000_000 + '"}', {"json": {"a": 1}}, "too long to look into"),
        ("204 No Content", "", {"status": 204}, ""),
        ("200 OK", "", {"status": 204}, "another status than expected"),
        ("302 Found", "", {"status": "2xx"}, "another status than expected"),
        ("302 Found", "", {}, ""),
        ("404 Not Found", "", {"status": [200, 404]}, ""),
        ("404 Not Found", "", {}, None),
        ("500 Oops", '{"a": 1}', {"json": {"a": 1}}, None),
    ],
)
def test_an_answer_is_good_when_it_is_what_was_expected(
    peers: Any, drive: Any, status: str, content: str, expect: dict[str, Any], amiss: str | None
) -> None:
    shop = Shop({"/": (status, "", content)})
    load = {"url": f"http://127.0.0.1:{peers.start(shop)}/", **({"expect": expect} if expect else {})}
    _, found = drive(load, seconds=0.05)
    assert len(found) == 2
    assert {(one.status, one.ok, one.amiss) for one in found} == {(int(status[:3]), amiss == "", amiss or "")}


def _to(place: str, status: int = 302) -> tuple[str, str, str]:
    return f"{status} Moved", f"location: {place}\r\n", ""


def test_redirects_are_followed_only_where_the_document_says_so(peers: Any, drive: Any) -> None:
    shop = Shop({"/": _to("/home?a=b c")})
    url = f"http://127.0.0.1:{peers.start(shop)}/"
    _, found = drive({"url": url}, seconds=0.05)
    assert {(one.status, one.ok) for one in found} == {(302, True)}
    _, found = drive({"url": url, "redirects": 3}, seconds=0.05)
    assert {(one.status, one.ok) for one in found} == {(200, True)}
    assert [target for _, target, _, _ in shop.seen[2:4]] in (["/", "/home?a=b%20c"], ["/", "/"])


@pytest.mark.parametrize(
    ("place", "amiss"),
    [
        ("/", "more than 2 redirects"),
        ("http://elsewhere.example/", "redirected to a host not named"),
        ("ftp://127.0.0.1/", "redirected to a host not named"),
        ("http://127.0.0.1:port/", "redirected nowhere"),
        ("http://[/", "redirected nowhere"),
        ("", "redirected nowhere"),
    ],
)
def test_load_goes_nowhere_but_where_it_was_sent_and_not_in_circles(
    peers: Any, drive: Any, place: str, amiss: str
) -> None:
    shop = Shop({"/": _to(place)})
    load = {"url": f"http://127.0.0.1:{peers.start(shop)}/", "redirects": 2}
    _, found = drive(load, seconds=0.05)
    assert {(one.status, one.ok, one.amiss) for one in found} == {(302, False, amiss)}


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [(301, "GET", b""), (302, "GET", b""), (303, "GET", b""), (307, "POST", b'{"a": 1}'), (308, "POST", b'{"a": 1}')],
)
def test_a_redirect_is_followed_as_browsers_do(peers: Any, drive: Any, status: int, method: str, body: bytes) -> None:
    last = Shop()
    first = Shop({"/": _to(f"http://127.0.0.1:{peers.start(last)}/there", status)})
    url = f"http://127.0.0.1:{peers.start(first)}/"
    headers = {"authorization": "Bearer abc"}
    drive({"url": url, "body": {"a": 1}, "headers": headers, "redirects": 1, "rate": "10/s"}, seconds=0.05)
    ((asked, target, sent, content),) = last.seen
    assert (asked, target, content) == (method, "/there", body)
    assert "authorization" not in sent, "another port is another program"
    assert sent["host"] == url.replace(sent["host"], "x") or sent["host"].startswith("127.0.0.1:")


def test_credentials_do_not_go_along_to_another_host(peers: Any, drive: Any) -> None:
    last = Shop()
    port = peers.start(last)
    first = Shop({"/": _to(f"http://localhost:{port}/there")})
    load = {
        "headers": {"authorization": "Bearer abc", "cookie": "a=b", "x-shop": "1"},
        "operations": [
            {"name": "first", "url": f"http://127.0.0.1:{peers.start(first)}/"},
            {"name": "named", "url": f"http://localhost:{port}/", "weight": 0.001},
        ],
        "redirects": 1,
    }
    drive(load, seconds=0.05)
    assert last.seen
    assert all(
        {"authorization", "cookie"}.isdisjoint(headers) and headers["x-shop"] == "1" for *_, headers, _ in last.seen
    )


def test_placeholders_are_drawn_anew_and_escaped_where_they_stand(peers: Any, drive: Any) -> None:
    shop = Shop()
    load = {
        "url": f"http://127.0.0.1:{peers.start(shop)}/find/${{what}}?again=${{what}}&price=$${{5}}",
        "body": {"what": "${what}", "n": 1},
        "headers": {"x-what": "${what}"},
        "values": {"what": ['a "b"/ü?', "plain"]},
    }
    with pytest.raises(UsageError, match="what 'what' draws is no ASCII"):
        drive({**load, "values": {"what": ["ü"]}})
    drive({**load, "headers": {}}, seconds=0.5)
    asked = Counter((target, body) for _, target, _, body in shop.seen)
    assert set(asked) == {
        ("/find/plain?again=plain&price=${5}".replace("{", "%7B").replace("}", "%7D"), b'{"what": "plain", "n": 1}'),
        (
            "/find/a%20%22b%22%2F%C3%BC%3F?again=a%20%22b%22%2F%C3%BC%3F&price=$%7B5%7D",
            b'{"what": "a \\"b\\"/\\u00fc?", "n": 1}',
        ),
    }
    assert {headers["content-type"] for _, _, headers, _ in shop.seen} == {"application/json"}


def test_the_same_seed_asks_the_same_of_a_workload_of_ones_own(peers: Any, drive: Any) -> None:
    asked = []
    for seed in (7, 7, 8):
        shop = Shop()
        load = {
            "url": f"http://127.0.0.1:{peers.start(shop)}",
            "rate": "100/s",
            "values": {"n": {"from": 1, "to": 1000}},
            "operations": [
                {"name": "read", "weight": 3, "url": "/r/${n}"},
                {"name": "add", "url": "/a", "body": "n=${n}"},
            ],
        }
        drive(load, seconds=0.3, seed=seed)
        # What is under way at once arrives in any order.
        asked.append(sorted((target, body) for _, target, _, body in shop.seen))
    assert asked[0] == asked[1] != asked[2]
    assert len({target.split("/")[1] for target, _ in asked[0]}) == 2


def test_headers_may_stand_elsewhere_and_must_be_there(
    peers: Any, drive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop()
    (tmp_path / "token").write_text("from a ${file}\n")
    headers = {"authorization": {"env": "SHOP_TOKEN"}, "x-file": {"file": "token"}}
    load = {"url": f"http://127.0.0.1:{peers.start(shop)}/", "headers": headers}
    with pytest.raises(UsageError, match="the variable SHOP_TOKEN is not set"):
        drive(load)
    monkeypatch.setenv("SHOP_TOKEN", "Bearer s3cret")
    drive(load, seconds=0.05)
    assert {(sent["authorization"], sent["x-file"]) for _, _, sent, _ in shop.seen} == {
        ("Bearer s3cret", "from a ${file}")
    }


def test_what_a_header_says_stands_on_no_command_line(peers: Any, tmp_path: Path) -> None:
    shop = Shop()
    load = {"url": f"http://127.0.0.1:{peers.start(shop)}/", "rate": "20/s", "headers": {"authorization": "s3cret"}}

    async def main() -> str:
        going = await process.start({"load": load, "seconds": 60}, tmp_path)
        await going.ready()
        with anyio.fail_after(20):
            while not operations.count(tmp_path):
                await anyio.sleep(0.01)
        command = Path(f"/proc/{going.pid}/cmdline").read_text()
        await going.stop()
        return command

    assert "s3cret" not in anyio.run(main)
    assert {sent["authorization"] for _, _, sent, _ in shop.seen} == {"s3cret"}


def test_stages_begin_when_they_are_told_to(peers: Any, tmp_path: Path) -> None:
    shop = Shop()
    stages = [{"rate": "5/s", "for": "500ms"}, {"rate": "200/s"}]
    load = {"url": f"http://127.0.0.1:{peers.start(shop)}/", "stages": stages}

    async def main() -> dict[str, Any]:
        going = await process.start({"load": load, "seconds": 60}, tmp_path)
        await going.ready()
        await _recorded(tmp_path, 5)
        await going.begin()
        await _recorded(tmp_path, 100)
        return await going.stop()

    summary = anyio.run(main)
    due = sorted(one.intended for one in operations.tail(tmp_path, 0, since=-1.0))
    gaps = [later - earlier for earlier, later in itertools.pairwise(due)]
    assert summary["operations"] == len(due)
    assert gaps[:3] == pytest.approx([0.2] * 3), "the first stage's rate, until the stages begin"
    assert gaps[-50:] == pytest.approx([0.005] * 50)


async def _recorded(directory: Path, at_least: int) -> None:
    with anyio.fail_after(20):
        while operations.count(directory) < at_least:
            await anyio.sleep(0.01)


def test_a_spec_that_never_comes_is_an_error(tmp_path: Path) -> None:
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "harness.load"], capture_output=True, input=b"{", check=False)
    assert done.returncode == 4
    assert "nobody said what to send" in json.loads(done.stdout)["error"]["what"]


def test_a_timeout_longer_than_usual_is_waited_for_at_the_end(peers: Any, tmp_path: Path) -> None:
    asked = []

    async def hold(reader: Reader, writer: Writer) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        # It answers just before the operation's own time is over, and long after the load was told to end.
        await asyncio.sleep(0.7)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    load = {"url": f"http://127.0.0.1:{peers.start(hold)}/", "rate": "20/s", "timeout": "5s"}

    async def main() -> dict[str, Any]:
        going = await process.start({"load": load, "seconds": 60}, tmp_path)
        await going.ready()
        with anyio.fail_after(20):
            while not asked:
                await anyio.sleep(0.01)
        return await going.stop()

    summary = anyio.run(main)
    assert "lost" not in summary
    assert summary["statuses"] == {"200": len(asked)}


ROOT = Path(__file__).parents[3]


def test_the_loads_of_the_documentation_are_loads(tmp_path: Path, pki: Any) -> None:
    section = (ROOT / "docs" / "load.md").read_text()
    blocks = [block for block in re.findall(r"(?:^    .*\n)+", section, re.MULTILINE) if "load:" in block]
    for file, name in (("shop-ca.pem", "ca.pem"), ("me.pem", "client.pem"), ("me.key", "client.key")):
        (tmp_path / file).write_bytes(Path(pki.path(name)).read_bytes())
    found = []
    for block in blocks:
        ours = {"name": "harness", "blast-radius": {"namespaces": ["shop"], "pods": 1}}
        target = {"target": {"namespace": "shop", "selector": "app=cart", "pods": 1}}
        fault = {"type": "python", "module": ACTIONS, "func": "pod_kill", "arguments": target}
        written = {
            "title": "One cart is deleted",
            "description": "x",
            "method": [{"type": "action", "name": "delete", "provider": fault}],
            "extensions": [ours | yaml.safe_load(textwrap.dedent(block))],
        }
        load = document.loads(yaml.safe_dump(written), tmp_path / "x.yaml").load
        assert load is not None
        found.append(load)
    assert [load.workload for load in found] == ["GET https://shop.example/api/carts/7", "2 kinds of operation"]
    assert [call.url for call in found[1].calls] == [
        "https://shop.example/api/carts/${cart}",
        "https://shop.example/api/carts/${cart}/items",
    ]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
def test_a_packed_answer_is_unpacked_before_it_is_looked_into(encoding: str) -> None:
    def says(body: bytes, encoding: str = encoding) -> str:
        made = answer.made(200, [(b"content-encoding", encoding.encode())], body)
        return answer.amiss(made, Expect(json={"a": 1}))

    pack = zlib.compress if encoding == "deflate" else gzip.compress
    assert says(pack(b'{"a": 1}')) == ""
    assert says(pack(b'{"a": 2}')) == "json a differs"
    assert says(pack(b'{"a": 1}')[:-12]) == "no JSON"
    assert says(b'{"a": 1}') == "no JSON"
    assert says(pack(b" " * 50_000_000)) == "too long to look into"
    assert says(b'{"a": 1}', "identity") == ""


def test_credentials_are_not_shown_where_tls_ends() -> None:
    def goes_along(before: str, after: str) -> bool:
        origin = origin_of(before)
        request = Request(origin, "GET", "/", [("host", str(origin)), ("authorization", "x")], b"", Expect())
        moved = answer.made(302, [(b"location", after.encode())], None)
        following = exchange.onward(request, moved, {origin.host})
        assert isinstance(following, Request)
        return ("authorization", "x") in following.headers

    assert goes_along("http://shop.example/", "https://shop.example/")
    assert goes_along("https://shop.example/", "/there")
    assert not goes_along("https://shop.example/", "http://shop.example/")
    assert not goes_along("http://shop.example/", "http://shop.example:8080/")
    assert not goes_along("http://shop.example:8080/", "https://shop.example/")


def test_a_place_beyond_ascii_is_asked_for_as_it_was_written() -> None:
    origin = origin_of("http://shop.example/")
    moved = answer.made(302, [(b"location", "/café?ort=Zürich".encode())], None)
    following = exchange.onward(Request(origin, "GET", "/", [], b"", Expect()), moved, {origin.host})
    assert isinstance(following, Request)
    assert following.target == "/caf%C3%A9?ort=Z%C3%BCrich"

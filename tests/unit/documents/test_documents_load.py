"""What the `load` section takes, and what it refuses with the line, the reason and what to write instead."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from harness.documents import document
from harness.errors import UsageError
from harness.load import written
from harness.model import load
from harness.model.load import Call, Expect, LoadSpec, Reference, Stage, Tls
from harness.source.closed import Problems, Section
from harness.source.lines import read

WHOLE = """\
url: https://shop.example:8443/api/
headers: {accept: application/json, Authorization: {env: SHOP_TOKEN}}
expect: {status: 2xx}
values: {cart: {from: 1, to: 3}, size: [small, 42]}
operations:
  - {name: read, weight: 9, url: "/carts/${cart}", expect: {status: [200, 404], json: {state: open}}}
  - name: add
    method: put
    url: https://other.example/items
    headers: {accept: "*/*", x-size: "${size}"}
    body: {cart: "${cart}"}
stages:
  - {rate: 20/s, for: 10s}
  - {rate: 120/m}
ramp: 1s
timeout: 2s
redirects: 2
http: 2
tls: {server-name: shop, verify: false}
"""


def noted(text: str, folder: Path = Path("here")) -> tuple[LoadSpec, list[UsageError]]:
    source = read(text, Path("x.yaml"))
    problems = Problems(source)
    found = written.read(Section(problems, source.data, (), "'load'", written.KEYS), folder)
    return found, [error for _, error in problems.found]


def test_a_whole_load_becomes_a_value() -> None:
    found, problems = noted(WHOLE)
    assert problems == []
    token = Reference("env", "SHOP_TOKEN")
    assert found.calls == (
        Call(
            "read",
            "https://shop.example:8443/api/carts/${cart}",
            headers={"accept": "application/json", "authorization": token},
            expect=Expect(((200, 200), (404, 404)), {"state": "open"}),
            weight=9,
        ),
        Call(
            "add",
            "https://other.example/items",
            "PUT",
            {"accept": "*/*", "authorization": token, "x-size": "${size}"},
            '{"cart": "${cart}"}',
            json=True,
            expect=Expect(((200, 299),)),
        ),
    )
    assert found.values == {"cart": ("1", "2", "3"), "size": ("small", "42")}
    assert found.stages == (Stage(20, 10), Stage(2))
    assert (found.rate, found.ramp, found.timeout, found.redirects, found.http) == (2, 1, 2, 2, "2")
    assert found.tls == Tls(server_name="shop", verify=False)
    assert not found.at_gateway


def test_one_request_is_a_load() -> None:
    found, problems = noted("{url: 'http://127.0.0.1:8080/cart', rate: 40/s}")
    assert problems == []
    assert found.calls == (Call("operation", "http://127.0.0.1:8080/cart"),)
    assert (found.workload, found.rate, found.stages) == ("GET http://127.0.0.1:8080/cart", 40, ())
    assert found.calls[0].expect == Expect(((200, 399),))


def test_a_body_is_posted_and_a_path_goes_to_the_gateway() -> None:
    found, problems = noted("{url: /cart, body: 'a=b', rate: 40/s}")
    assert problems == []
    assert (found.calls[0].method, found.calls[0].json, found.at_gateway) == ("POST", False, True)


@pytest.mark.parametrize("name", written.shipped())
def test_the_projects_own_workloads_are_files(name: str) -> None:
    found, problems = noted(f"{{workload: {name}, rate: 1/s}}")
    assert problems == []
    assert found.workload == name
    assert all(call.at_gateway and call.headers["x-user-id"] == "user-${user}" for call in found.calls)
    assert yaml.safe_load((written.SHIPPED / f"{name}.yaml").read_text())["summary"].endswith(".")


REFUSED = {
    "nothing to ask": ("{rate: 1/s}", "'load' needs 'workload' or 'url'"),
    "unknown key": ("{url: /a, rate: 1/s, metod: GET}", "unknown key 'metod' in 'load'"),
    "no rate": ("{url: /a}", "'load' needs 'rate'"),
    "rate of nothing": ("{url: /a, rate: 0/s}", "above zero"),
    "rate without time": ("{url: /a, rate: 40}", "40 is not a rate"),
    "rate too high": ("{url: /a, rate: 3000/s}", "is not between 0 and 2000"),
    "rate and stages": ("{url: /a, rate: 1/s, stages: [{rate: 2/s}]}", "'rate' and 'stages' exclude each other"),
    "no stage": ("{url: /a, stages: []}", "'stages' must list 1 to 100 of them"),
    "stages of nothing": ("{url: /a, stages: }", "'stages' must list 1 to 100 of them"),
    "operations of nothing": ("{url: /a, rate: 1/s, operations: }", "'operations' must list 1 to 100 of them"),
    "stages no list": ("{url: /a, stages: {rate: 1/s}}", "'stages' must be a list"),
    "stage without end": ("{url: /a, stages: [{rate: 1/s}, {rate: 2/s}]}", "stage 1 needs 'for'"),
    "stage of nothing": ("{url: /a, stages: [{rate: 0/s, for: 1s}, {rate: 2/s}]}", "above zero"),
    "stage too short": ("{url: /a, stages: [{rate: 1/s, for: 0s}, {rate: 2/s}]}", "not between 100ms and 30m"),
    "ramp too long": (
        "{url: /a, stages: [{rate: 1/s, for: 1s}, {rate: 2/s, for: 1s}, {rate: 3/s}], ramp: 2s}",
        "a ramp of 2 s exceeds a stage",
    ),
    "no scheme": ("{url: shop.example/a, rate: 1/s}", "is no URL; write http://host:port/path"),
    "another scheme": ("{url: 'ftp://a/', rate: 1/s}", "is no URL"),
    "no host": ("{url: 'http:///a', rate: 1/s}", "is no URL"),
    "port no number": ("{url: 'http://a:b/', rate: 1/s}", "is no URL"),
    "port too high": ("{url: 'http://a:70000/', rate: 1/s}", "is no URL"),
    "port 0": ("{url: 'http://a:0/', rate: 1/s}", "names port 0"),
    "host that is none": ("{url: 'http://a..b/', rate: 1/s}", "is no URL"),
    "space": ("{url: 'http://a/b c', rate: 1/s}", "holds a space"),
    "credentials": ("{url: 'http://me:pw@a/', rate: 1/s}", "a URL holds no credentials here"),
    "fragment of a path": ("{url: '/a#b', rate: 1/s}", "has a fragment"),
    "fragment": ("{url: 'http://a/#b', rate: 1/s}", "has a fragment"),
    "drawn host": ("{url: 'http://${a}/', rate: 1/s, values: {a: [b]}}", "draws its host"),
    "drawn from nothing": ("{url: '/${a}', rate: 1/s, values: {b: [c]}}", "'${a}' is not among the values"),
    "empty values": ("{url: '/${a}', rate: 1/s, values: {a: []}}", "at least one"),
    "values upside down": ("{url: '/${a}', rate: 1/s, values: {a: {from: 5, to: 1}}}", "must name 1 to"),
    "values no mapping": ("{url: '/${a}', rate: 1/s, values: [a]}", "'values' must be a mapping"),
    "method": ("{url: /a, rate: 1/s, method: 'GE T'}", "'GE T' is no method"),
    "connect": ("{url: /a, rate: 1/s, method: CONNECT}", "'CONNECT' is no method"),
    "length": ("{url: /a, rate: 1/s, headers: {Content-Length: 3}}", "does not send 'content-length' as it is told"),
    "header name": ("{url: /a, rate: 1/s, headers: {'a b': c}}", "'a b' is no name of a header"),
    "header value": ("{url: /a, rate: 1/s, headers: {a: true}}", "true is no value of a header"),
    "header lines": ('{url: /a, rate: 1/s, headers: {a: "b\\r\\nc: d"}}', "no line break"),
    "header beyond ASCII": ("{url: /a, rate: 1/s, headers: {a: ü}}", "a header holds ASCII"),
    "drawn beyond ASCII": (
        "{url: /a, rate: 1/s, headers: {a: '${b}'}, values: {b: [ü]}}",
        "what 'b' draws is no ASCII",
    ),
    "header twice": ("{url: /a, rate: 1/s, headers: {A: b, a: c}}", "the header 'a' is here twice"),
    "header elsewhere": ("{url: /a, rate: 1/s, headers: {a: {env: B, file: c}}}", "is {env: NAME} or {file: PATH}"),
    "header file": ("{url: /a, rate: 1/s, headers: {a: {file: gone}}}", "there is no file here/gone"),
    "keep-alive": ("{url: /a, rate: 1/s, headers: {connection: keep-alive}}", "may say 'close'"),
    "json no mapping": ("{url: /a, rate: 1/s, expect: {json: [1]}}", "[1] is no mapping"),
    "json empty": ("{url: /a, rate: 1/s, expect: {json: {}}}", "is no mapping"),
    "expect empty": ("{url: /a, rate: 1/s, expect: {}}", "'expect' is empty"),
    "expect no mapping": ("{url: /a, rate: 1/s, expect: 200}", "'expect' must be a mapping, not 200"),
    "status": ("{url: /a, rate: 1/s, expect: {status: 20}}", "20 is no status"),
    "status of an interim answer": ("{url: /a, rate: 1/s, expect: {status: 100}}", "100 is no status"),
    "status upside down": ("{url: /a, rate: 1/s, expect: {status: 300-200}}", "is no status"),
    "statuses empty": ("{url: /a, rate: 1/s, expect: {status: []}}", "no answer would do"),
    "head and json": ("{url: /a, rate: 1/s, method: HEAD, expect: {json: {a: 1}}}", "an answer to HEAD has no body"),
    "no operation": ("{url: /a, rate: 1/s, operations: []}", "'operations' must list 1 to 100"),
    "two of a name": ("{url: /a, rate: 1/s, operations: [{name: a}, {name: a}]}", "two operations are named 'a'"),
    "weight": ("{url: /a, rate: 1/s, operations: [{weight: 0}]}", "0 is not above 0"),
    "method beside": (
        "{url: /a, rate: 1/s, method: PUT, operations: [{name: a}]}",
        "'method' stands beside 'operations'",
    ),
    "query beside operations": (
        "{url: '/a?b=c', rate: 1/s, operations: [{url: /d}]}",
        "a URL that others add to has no query",
    ),
    "operation without": ("{rate: 1/s, operations: [{name: a}]}", "an operation needs 'url'"),
    "operation key": ("{url: /a, rate: 1/s, operations: [{nam: a}]}", "unknown key 'nam' in an operation"),
    "workload and body": ("{workload: mixed, rate: 1/s, body: a}", "'body' is the workload's"),
    "drawn beside a workload": (
        "{workload: mixed, rate: 1/s, headers: {a: '${usr}'}}",
        "'${usr}' is not among the values",
    ),
    "workload unknown": ("{workload: mixd, rate: 1/s}", "did you mean 'mixed'?"),
    "workload of a name beyond any file's": ("{workload: " + "a" * 5000 + ", rate: 1/s}", "is not known"),
    "header file of a name beyond any file's": (
        "{url: /a, rate: 1/s, headers: {a: {file: " + "a" * 5000 + "}}}",
        "there is no file here/aaaa",
    ),
    "workload file": ("{workload: gone.yaml, rate: 1/s}", "there is no file here/gone.yaml"),
    "redirects": ("{url: /a, rate: 1/s, redirects: -1}", "-1 is not between 0 and 20"),
    "redirects in words": ("{url: /a, rate: 1/s, redirects: true}", "true is not a whole number"),
    "timeout": ("{url: /a, rate: 1/s, timeout: 2m}", "not between 10ms and 1m"),
    "http": ("{url: /a, rate: 1/s, http: 3}", "3 is no version of HTTP"),
    "tls and http": ("{url: 'http://a/', rate: 1/s, tls: {verify: false}}", "no URL of this load is https"),
    "tls key alone": ("{url: 'https://a/', rate: 1/s, tls: {key: gone}}", "here/gone: No such file"),
    "tls in words": ("{url: 'https://a/', rate: 1/s, tls: {verify: 'no'}}", "'no' is not true or false"),
    "http 2 and close": ("{url: /a, rate: 1/s, http: 2, headers: {connection: close}}", "knows no 'connection' header"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_load_that_cannot_be_meant_is_refused(name: str) -> None:
    text, message = REFUSED[name]
    _, problems = noted(text)
    assert any(message in str(error) for error in problems), [str(error) for error in problems]
    assert all(error.where == "x.yaml:1" for error in problems)


def test_no_refusal_repeats_a_password() -> None:
    _, problems = noted("{url: 'http://me:s3cret@a/', rate: 1/s}")
    assert "s3cret" not in "".join(map(str, problems))


def test_each_problem_has_its_line(refused) -> None:
    text = (
        "    load:\n      url: http://127.0.0.1:1/\n      rate: 0/s\n      expect:\n        json: 5\n"
        "      headers:\n        bad name: 1\n"
    )
    lines = refused(("    load: {workload: mixed, rate: 50/s}\n", text))
    assert [line.split(": ")[0] for line in lines if line.startswith("evict.yaml:")] == [
        "evict.yaml:28",
        "evict.yaml:30",
        "evict.yaml:32",
    ]


def test_a_stage_that_the_run_may_never_reach_is_refused(refused, loaded) -> None:
    def stages(first: str) -> tuple[str, str]:
        return "rate: 50/s}", f"stages: [{{rate: 5/s, for: {first}}}, {{rate: 50/s}}]}}"

    assert "is reached 25 s after the baseline began" in refused(stages("25s"))[0]
    assert loaded(stages("15s")).load.stages == (Stage(5, 15), Stage(50))


@pytest.mark.parametrize("named", ["carts", "carts.yaml", "workloads/carts.yaml"])
def test_a_workload_of_ones_own_stands_in_a_file_beside_the_document(tmp_path: Path, text: str, named: str) -> None:
    folder = tmp_path / "workloads"
    folder.mkdir()
    content = (
        "summary: Read carts.\nurl: http://127.0.0.1:1\noperations:\n  - {name: read, url: /carts, headers: {a: b}}\n"
    )
    (folder / "carts.yaml").write_text(content)
    (tmp_path / "carts.yaml").write_text(content)
    path = tmp_path / "evict.yaml"
    path.write_text(text.replace("workload: mixed", f"workload: {named}"))
    found = document.load(path).load
    assert found is not None
    assert found.calls == (Call("read", "http://127.0.0.1:1/carts", headers={"a": "b"}),)
    more = f"workload: {named}, url: 'http://127.0.0.1:2', headers: {{a: c}}"
    path.write_text(text.replace("workload: mixed", more))
    found = document.load(path).load
    assert found is not None
    assert found.calls == (Call("read", "http://127.0.0.1:2/carts", headers={"a": "c"}),)


def test_a_wrong_workload_is_refused_by_its_own_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "carts.yaml").write_text("url: http://127.0.0.1:1\nmethd: GET\n")
    path = tmp_path / "evict.yaml"
    path.write_text(text.replace("workload: mixed", "workload: carts.yaml"))
    with pytest.raises(UsageError, match="unknown key 'methd' in the workload") as caught:
        document.load(path)
    assert caught.value.where == f"{tmp_path / 'carts.yaml'}:2"
    (tmp_path / "carts.yaml").write_text("url: [")
    with pytest.raises(UsageError, match="not valid YAML"):
        document.load(path)
    (tmp_path / "carts.yaml").write_bytes(b"\xfa\xfe")
    with pytest.raises(UsageError, match="cannot read the workload"):
        document.load(path)


def test_the_digest_follows_the_workload_that_is_named(tmp_path: Path, text: str) -> None:
    digests = set()
    path = tmp_path / "evict.yaml"
    path.write_text(text.replace("workload: mixed", "workload: carts.yaml"))
    for name in ("/carts", "/items", "/items"):
        (tmp_path / "carts.yaml").write_text(f"url: {name}\n")
        digests.add(document.load(path).digest)
    assert len(digests) == 2


def test_tls_files_are_certificates_and_keys(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "key.pem").write_text("-----BEGIN EC PRIVATE KEY-----\n")
    good = "{url: 'https://a/', rate: 1/s, tls: {ca: ca.pem, certificate: ca.pem, key: key.pem}}"
    found, problems = noted(good, tmp_path)
    assert problems == []
    assert found.tls.key == str(tmp_path / "key.pem")
    _, problems = noted(good.replace("ca: ca", "ca: key").replace("key: key.pem", "key: ca.pem"), tmp_path)
    assert [error.what.rpartition("/")[2] for error in problems] == [
        "key.pem holds no certificate in PEM",
        "ca.pem holds no private key in PEM",
    ]
    _, problems = noted("{url: 'https://a/', rate: 1/s, tls: {key: key.pem}}", tmp_path)
    assert [error.what for error in problems] == ["a key without its 'certificate'"]


def test_a_plan_says_what_is_sent_how_fast_and_on_what_terms() -> None:
    assert load.lines(noted(WHOLE)[0]) == [
        "2 kinds of operation at 20/s for 10 s, then 2/s, each change over 1 s",
        "  90% GET https://shop.example:8443/api/carts/${cart}  expects 200 or 404 and JSON with state",
        "  10% PUT https://other.example/items  expects 200 to 299",
        "  HTTP/2 only, follows 2 redirects, TLS certificates are NOT verified",
    ]
    assert load.lines(noted("{workload: route-tool, rate: 5/s}")[0]) == [
        "route-tool at 5/s",
        "  POST the gateway's /api/v1/route  expects 200 to 399",
    ]


def test_the_editors_schema_takes_a_whole_load_and_refuses_what_is_none(
    text: str, editor: jsonschema.Draft202012Validator
) -> None:
    def validate(written: object) -> None:
        made = yaml.safe_load(text)
        made["extensions"][0]["load"] = written
        editor.validate(made)

    validate(yaml.safe_load(WHOLE))
    validate({"url": "/a", "rate": "5/s"})
    for wrong in ("unknown key", "no rate", "no stage", "rate without time", "json empty", "operation key", "http"):
        with pytest.raises(jsonschema.ValidationError):
            validate(yaml.safe_load(REFUSED[wrong][0]))

"""Kubeconfigs in many shapes: each credential, as itself and as somebody else, in pairs, in lists, behind proxies."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"
User = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class People:
    """Who there is on the cluster, and how it is reached; tokens are of service accounts, the certificate of carol."""

    server: str
    ca: bytes
    alice: str
    bob: str
    certificate: bytes
    key: bytes
    stranger: bytes
    """An authority that signed nothing here."""
    proxy: str
    socks: str
    dead: str


@dataclass(frozen=True, slots=True)
class Shape:
    """Files as they lie in a folder, what is said about them, and why kubectl's answer may be another."""

    name: str
    files: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    context: str | None = None
    kubeconfig: str | None = "config"
    differs: str = ""


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def config(people: People, user: User | None, cluster: Mapping[str, Any] | None = None, name: str = "one") -> Any:
    """A kubeconfig of one context."""
    given = {"server": people.server, "certificate-authority-data": coded(people.ca)} if cluster is None else cluster
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": dict(given)}],
        "users": [] if user is None else [{"name": name, "user": dict(user)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


def command(version: str = V1, **given: Any) -> User:
    mode = {"interactiveMode": "Never"} if version == V1 else {}
    return {"exec": {"apiVersion": version, "command": "./login", **mode, **given}}


def program(answer: Any, version: str = V1, before: str = "") -> str:
    """A credential command that prints one answer."""
    status = answer if isinstance(answer, str) else None
    text = status or json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": answer})
    return f"#!/bin/sh\n{before}\ncat <<'END'\n{text}\nEND\n"


def beside(people: People) -> dict[str, Any]:
    """The files that lie beside every kubeconfig."""
    pair = {"clientCertificateData": people.certificate.decode(), "clientKeyData": people.key.decode()}
    return {
        "token": people.alice + "\n",
        "bob": people.bob,
        "empty": "",
        "ca.pem": people.ca,
        "cert.pem": people.certificate,
        "key.pem": people.key,
        "login": program({"token": people.bob}),
        "old": program({"token": people.bob}, V1BETA1),
        "pair": program(pair),
        "both": program({**pair, "token": people.bob}),
        "half": program({"clientKeyData": people.key.decode()}),
        "nothing": program({}),
        "garbage": program("no credential"),
        "failing": "#!/bin/sh\nexit 3\n",
        "named": program({"token": "$TOKEN"}).replace("'END'", "END"),
        "told": program(
            {"token": people.bob}, before="case $KUBERNETES_EXEC_INFO in *audience-x*) ;; *) exit 5;; esac"
        ),
        "expiring": program({"token": people.bob, "expirationTimestamp": "2020-01-01T00:00:00Z"}),
    }


def credentials(people: People) -> dict[str, User]:
    return {
        "token": {"token": people.alice},
        "token file": {"tokenFile": "token"},
        "certificate data": {
            "client-certificate-data": coded(people.certificate),
            "client-key-data": coded(people.key),
        },
        "certificate files": {"client-certificate": "cert.pem", "client-key": "key.pem"},
        "command": command(),
        "older command": command(V1BETA1, command="./old"),
        "command with certificate": command(command="./pair"),
        "password": {"username": "dave", "password": "secret"},
        "nothing": {},
    }


AS: Mapping[str, User] = {
    "itself": {},
    "another": {"as": "t-somebody"},
    "another in groups": {"as": "t-somebody", "as-groups": ["t-a", "t-b"]},
    "another whole": {
        "as": "t-sömebody",
        "as-uid": "t-7",
        "as-groups": ["t-a"],
        "as-user-extra": {"t.example.com/k": ["v", "w"], "Plain": ["x"]},
    },
    "groups of nobody": {"as-groups": ["system:masters"]},
}


def shapes(people: People) -> Iterator[Shape]:
    """Generate every shape."""
    yield from _identities(people)
    yield from _pairs(people)
    yield from _servers(people)
    yield from _commands(people)
    yield from _files(people)
    yield from _contents(people)


def _identities(people: People) -> Iterator[Shape]:
    for (kind, user), (whom, narrowed) in itertools.product(credentials(people).items(), AS.items()):
        yield Shape(f"{kind} as {whom}", {"config": config(people, {**user, **narrowed})})


def _pairs(people: People) -> Iterator[Shape]:
    known = credentials(people)
    some = {name: known[name] for name in ("token", "certificate data", "command", "password")}
    some["token file"] = {"tokenFile": "bob"}
    for (one, first), (two, second) in itertools.combinations(some.items(), 2):
        yield Shape(f"{one} and {two}", {"config": config(people, {**first, **second})})
    yield Shape(
        "token and a token file that is gone", {"config": config(people, {**some["token"], "tokenFile": "gone"})}
    )
    yield Shape("token file that is gone", {"config": config(people, {"tokenFile": "gone"})})
    yield Shape("token file that is empty", {"config": config(people, {"tokenFile": "empty"})})
    yield Shape("certificate without key", {"config": config(people, {"client-certificate": "cert.pem"})})
    yield Shape("key without certificate", {"config": config(people, {"client-key": "key.pem", **some["token"]})})
    mixed = {"client-certificate": "cert.pem", "client-key-data": coded(people.key)}
    yield Shape("certificate file and key data", {"config": config(people, mixed)})
    twice = {**known["certificate files"], **known["certificate data"]}
    yield Shape("certificate twice", {"config": config(people, twice)})
    yield Shape("key of another", {"config": config(people, {**mixed, "client-key-data": coded(people.stranger)})})
    yield Shape("token of two lines", {"config": config(people, {"token": people.alice + "\n"})})


def _servers(people: People) -> Iterator[Shape]:
    user, ca = {"token": people.alice}, {"certificate-authority-data": coded(people.ca)}
    sure = {"server": people.server, **ca}
    clusters: dict[str, Mapping[str, Any]] = {
        "trusted blindly": {"server": people.server, "insecure-skip-tls-verify": True},
        "trusted blindly and by authority": {**sure, "insecure-skip-tls-verify": True},
        "trusted by nobody here": {"server": people.server},
        "trusted by a stranger": {"server": people.server, "certificate-authority-data": coded(people.stranger)},
        "authority in a file": {"server": people.server, "certificate-authority": "ca.pem"},
        "authority in a file that is gone": {"server": people.server, "certificate-authority": "gone.pem"},
        "authority twice": {**sure, "certificate-authority": "ca.pem"},
        "authority that is none": {"server": people.server, "certificate-authority-data": coded(b"none")},
        "two authorities": {
            "server": people.server,
            "certificate-authority-data": coded(people.stranger + b"\n# w\xc3\xb6rds\n" + people.ca),
        },
        "another name": {**sure, "tls-server-name": "kubernetes.default"},
        "another name that is wrong": {**sure, "tls-server-name": "wrong.example.com"},
        "through a proxy": {**sure, "proxy-url": people.proxy},
        "through SOCKS": {**sure, "proxy-url": people.socks},
        "through a proxy by another name": {**sure, "proxy-url": people.proxy, "tls-server-name": "kubernetes"},
        "through SOCKS by another name": {**sure, "proxy-url": people.socks, "tls-server-name": "kubernetes"},
        "through a proxy that is dead": {**sure, "proxy-url": people.dead},
        "through a proxy of no kind": {**sure, "proxy-url": "ftp://127.0.0.1:1"},
        "with a slash": {**sure, "server": people.server + "/"},
        "with a path": {**sure, "server": people.server + "/elsewhere"},
        "in plain text": {**sure, "server": people.server.replace("https", "http")},
        "without a scheme": {**sure, "server": people.server.removeprefix("https://")},
        "of no kind": {**sure, "server": "ftp://127.0.0.1"},
        "nowhere": {"certificate-authority-data": coded(people.ca)},
        "with a field nobody knows": {**sure, "colour": "blue"},
    }
    for name, cluster in clusters.items():
        yield Shape(f"server {name}", {"config": config(people, user, cluster)})
    both = {"config": config(people, user)}
    yield Shape("proxy of the environment, not for this machine", both, {"HTTPS_PROXY": people.dead})
    elsewhere = {**sure, "proxy-url": people.proxy}
    yield Shape("proxy of its own before the environment's", {"config": config(people, user, elsewhere)}, {
        "HTTPS_PROXY": people.dead, "NO_PROXY": "*"
    })  # fmt: skip


def _commands(people: People) -> Iterator[Shape]:
    here = {"extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"a": "audience-x"}}]}
    cluster = {"server": people.server, "certificate-authority-data": coded(people.ca), **here}
    users: dict[str, User] = {
        "gives both": command(command="./both"),
        "gives half a pair": command(command="./half"),
        "gives nothing": command(command="./nothing"),
        "prints garbage": command(command="./garbage"),
        "fails": command(command="./failing", installHint="log in"),
        "is missing": command(command="./absent", installHint="install it"),
        "is of the path and missing": command(command="t-absent-command"),
        "is of the path": command(command="sh", args=["-c", program({"token": people.bob}).split("\n", 1)[1]]),
        "answers in another version": command(V1BETA1),
        "has a version nobody knows": command("client.authentication.k8s.io/v1alpha1", interactiveMode="Never"),
        "has no version": {"exec": {"command": "./login", "interactiveMode": "Never"}},
        "has no command": {"exec": {"apiVersion": V1, "interactiveMode": "Never"}},
        "has no mode": {"exec": {"apiVersion": V1, "command": "./login"}},
        "has a mode nobody knows": command(interactiveMode="Sometimes"),
        "needs a terminal": command(interactiveMode="Always"),
        "may use a terminal": command(interactiveMode="IfAvailable"),
        "has variables": command(command="./named", env=[{"name": "TOKEN", "value": people.bob}]),
        "has a variable without a name": command(env=[{"value": "x"}]),
        "is told of the cluster": command(command="./told", provideClusterInfo=True),
        "is not told of the cluster": command(command="./told"),
        "gives what has expired": command(command="./expiring"),
        "stands beside an old provider": {**command(), "auth-provider": {"name": "oidc"}},
    }
    for name, user in users.items():
        yield Shape(f"command that {name}", {"config": config(people, user, cluster)})


def _files(people: People) -> Iterator[Shape]:
    alice, bob = ({"token": token} for token in (people.alice, people.bob))
    one, two = config(people, alice, name="one"), config(people, bob, name="two")
    nobody = {**config(people, {}, name="two"), "contexts": [], "clusters": [], "current-context": ""}
    other = config(people, {"tokenFile": "token"}, {"server": people.server, "certificate-authority": "ca.pem"}, "far")
    near = {"a/config": one, "b/config": other, "b/token": people.bob, "b/ca.pem": people.ca}
    lists: list[tuple[str, Mapping[str, Any], str, str | None]] = [
        ("current context of the first", {"a": one, "b": two}, "a:b", None),
        ("context of the second", {"a": one, "b": two}, "a:b", "two"),
        ("first one missing", {"b": two}, "gone:b", None),
        ("empty entries", {"b": two}, ":b:", None),
        ("same file twice", {"a": one}, "a:a", None),
        ("user of the first counts, whole", {"a": nobody, "b": two}, "a:b", "two"),
        ("user of the first counts, and has a token", {"a": {**two, "current-context": ""}, "b": one}, "a:b", None),
        ("all missing", {}, "gone:lost", None),
        ("only separators", {"config": one}, ":", None),
        ("second one broken", {"a": one, "b": "["}, "a:b", None),
        ("second one empty", {"a": one, "b": ""}, "a:b", None),
        ("a folder", {"a": one, "d/x": ""}, "a:d", None),
        ("paths of the second", near, "a/config:b/config", "far"),
        ("context that nobody has", {"a": one}, "a", "far"),
    ]
    for name, files, variable, context in lists:
        yield Shape(f"list: {name}", files, {"KUBECONFIG": variable}, context, None)
    yield Shape("option before the variable", {"a": one, "config": two}, {"KUBECONFIG": "a"})
    yield Shape("file of the home", {".kube/config": one}, kubeconfig=None)
    yield Shape("file that is gone", {}, kubeconfig="gone")


def _contents(people: People) -> Iterator[Shape]:
    sound = config(people, {"token": people.alice})
    text = json.dumps(sound)

    def changed(**changes: Any) -> dict[str, Any]:
        return {"config": {**sound, **changes}}

    extra = {"name": "other", "user": {"token": 7}}
    unknown = config(people, {"token": people.alice, "as-group": ["t-a"]})
    yield Shape("content: two documents", {"config": text + "\n---\nx: y\n"})
    yield Shape("content: a byte order mark", {"config": b"\xef\xbb\xbf" + text.encode()})
    yield Shape("content: UTF-16", {"config": text.encode("utf-16")})
    yield Shape("content: comments only", {"config": "# nothing\n"})
    yield Shape("content: a list", {"config": "[]"})
    yield Shape("content: of another version", changed(apiVersion="v2"))
    yield Shape("content: without version and kind", {"config": {k: v for k, v in sound.items() if "ind" not in k}})
    yield Shape("content: a field nobody knows", changed(colour="blue"))
    yield Shape("content: a token that is a number", changed(users=[*sound["users"], extra]))
    yield Shape("content: a user twice", changed(users=sound["users"] * 2))
    yield Shape("content: a context twice", changed(contexts=sound["contexts"] * 2))
    yield Shape("content: no current context", changed(**{"current-context": ""}))
    yield Shape("content: nulls", changed(preferences=None, extensions=None, users=[*sound["users"], None]))
    yield Shape("content: no user", {"config": config(people, None)})
    yield Shape("content: base64 in lines", {"config": config(people, {"token": people.alice}, {
        "server": people.server, "certificate-authority-data": base64.encodebytes(people.ca).decode()
    })})  # fmt: skip
    yield Shape("content: no base64", {"config": config(people, {"token": people.alice, "client-key-data": "%%"})})
    yield Shape("content: a user's field that nobody knows", {"config": unknown}, differs="it may narrow rights")

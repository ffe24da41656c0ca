"""Mutate kubeconfigs and see that each is read or refused: `python -m bench.fuzz_kubeconfig --count 50000 --seed 1`.

A file is mutated as text and as a value. What may come of it is an access, a client made of that, and the same access
handed on and read again; or a PreconditionFailed. Anything else would be a traceback, which is exit code 7.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import yaml

from harness.cluster import kubeconfig
from harness.cluster.kube import Kube
from harness.cluster.kubeconfig import passing
from harness.errors import Exit, PreconditionFailed

END = "-----END CERTIFICATE-----\n"
EXEC = {
    "command": "./absent",
    "apiVersion": "client.authentication.k8s.io/v1",
    "interactiveMode": "Never",
    "args": ["a"],
    "env": [{"name": "A", "value": "b"}],
    "installHint": "install it",
    "provideClusterInfo": True,
}
SOUND: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "one",
    "preferences": {},
    "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
    "clusters": [
        {
            "name": "c",
            "cluster": {
                "server": "https://one.example.com:6443/path",
                "certificate-authority": "ca.pem",
                "proxy-url": "socks5://proxy:1080",
                "tls-server-name": "two",
                "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}],
            },
        }
    ],
    "users": [{"name": "u", "user": {}}],
}
USERS: list[dict[str, Any]] = [
    {"token": "abc.def"},
    {"tokenFile": "token", "as": "somebody", "as-groups": ["a", "b"], "as-uid": "7", "as-user-extra": {"k": ["v"]}},
    {"client-certificate": "cert.pem", "client-key": "key.pem"},
    {"client-certificate-data": "QQ==", "client-key-data": "QQ=="},
    {"username": "a", "password": "b"},
    {"exec": EXEC},
    {"auth-provider": {"name": "oidc", "config": {"a": "b"}}},
]
STRANGE: list[Any] = [
    None, True, False, 0, -1, 7, 1.5, float("inf"), "", " ", "a", "\0", "a\nb", "\ud800", "ü", "..", "/", "/dev", "~",
    "x" * 5000, [], {}, [None], [[]], {"a": None}, {1: 2}, {"name": []}, b"\xff", "https://", "http://[",
    "host:99999999", "https://[::1",
    "https://a b", "https://ü.example", "https://user:pw@host", "socks5://", "http://:0", "QQ", "====",
]  # fmt: skip
TEXTS = [
    b"\0",
    b"\xff",
    b"\t",
    b"[",
    b"{",
    b"&a ",
    b"*a",
    b"!!python/object:a ",
    b"---\n",
    b"? ",
    b"- ",
    b": ",
    b"'",
    b"\xef\xbb\xbf",
]


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the places in a value."""
    found = [at]
    if isinstance(value, dict):
        found += [one for key, inner in value.items() for one in paths(inner, (*at, key))]
    elif isinstance(value, list):
        found += [one for number, inner in enumerate(value) for one in paths(inner, (*at, number))]
    return found


def mutate(chance: random.Random) -> bytes:
    """Return the content of one mutated file."""
    value = copy.deepcopy(SOUND)
    value["users"][0]["user"] = copy.deepcopy(chance.choice(USERS))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        place = chance.choice([one for one in paths(value) if one] or [()])
        if not place:
            break
        holder = value
        for key in place[:-1]:
            holder = holder[key]
        what = chance.random()
        if what < 0.5:
            holder[place[-1]] = copy.deepcopy(chance.choice(STRANGE))
        elif what < 0.7:
            del holder[place[-1]]
        elif isinstance(holder, dict):
            holder[chance.choice(["x", "as", "exec", "token", "tokenFile", 1, "certificate-authority-data"])] = (
                chance.choice(STRANGE)
            )
        else:
            holder.append(copy.deepcopy(holder[place[-1]]))
    try:
        text = json.dumps(value, default=str) if chance.random() < 0.7 else yaml.safe_dump(value, allow_unicode=True)
        content = text.encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, TypeError, ValueError):
        content = repr(value).encode("utf-8", "replace")
    if chance.random() < 0.3:
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(content) + 1)
            cut = chance.choice((0, 0, 1, 5, 50))
            content = content[:at] + chance.choice(TEXTS) + content[at + cut :]
    return content


def attempt(path: Path) -> str:
    """Do with one kubeconfig what every command does before its first request; say what came of it."""
    try:
        access = kubeconfig.load(path)
        if kubeconfig.load(passing.hand_on(access)) != access:
            return "CHANGED when handed on"
        os.fsencode(access.context)
        Kube(access, path)
    except PreconditionFailed as error:
        str(error).encode("utf-8", "replace")
        return "refused" if error.exit == Exit.USAGE else f"exit {error.exit}"
    finally:
        passing.forget()
    return "read"


def main(arguments: list[str] | None = None, report: Callable[[str], None] = print) -> int:
    """Fuzz, print what came of it, and return how many were neither read nor refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    began, counted = time.monotonic(), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ca.pem", "cert.pem", "key.pem", "token"):
            Path(folder, name).write_text(name)
        Path(folder, "ca.pem").write_text(
            Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")[0] + END
        )
        path = Path(folder, "config")
        for number in range(chosen.count):
            content = mutate(random.Random(f"{chosen.seed}-{number}"))
            path.write_bytes(content)
            try:
                what = attempt(path)
            except Exception:
                what = "TRACEBACK"
                report(f"number {number}: {content[:2000]!r}\n{traceback.format_exc(limit=-4)}")
            if what not in ("read", "refused", "TRACEBACK"):
                report(f"number {number}: {what}: {content[:2000]!r}")
            counted[what] += 1
    bad = chosen.count - counted["read"] - counted["refused"]
    report(f"{chosen.count} kubeconfigs in {time.monotonic() - began:.0f} s: {dict(counted)}, {bad} bad")
    return bad


if __name__ == "__main__":
    os.environ.pop("KUBECONFIG", None)
    logging.getLogger("harness").setLevel(logging.ERROR)
    sys.exit(bool(main()))

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.journal.redact import HIDDEN, clean
from harness.model.fault import Hand
from harness.model.plan import Victim


@pytest.mark.parametrize(
    "value",
    [
        {"token": "hush"},
        {"db_password": "hush"},
        {"Authorization": "hush"},
        {"client-key-data": "hush"},
        {"kind": "Secret", "data": {"user": "hush"}},
        {"nested": [{"deep": {"clientSecret": {"value": "hush"}}}]},
        "Authorization: Bearer hush-abcdef.ghi",
        "curl -H 'authorization: bearer hushhushhush'",
        "postgres://app:hush@db:5432/x",
        "password=hush&user=x",
        '{"token": "hush"}',
        ["--token", "hush"],
        ["--token=hush"],
        "-----BEGIN RSA PRIVATE KEY-----\nhush\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhush",
        "client-key-data: hush",
        b"token=hush",
        "Authorization: token hush",
        "X-Authorization: hush",
        "{'authorization': 'token hush'}",
        {"name": "DB_PASSWORD", "value": "hush"},
        {"kind": "SecretList", "items": [{"metadata": {"name": "db"}, "data": {"user": "hush"}}]},
        {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"user":"hush"},"kind":"Sec'},
        '{"kind":"Secret","data":{"user":"hush"}}',
        'answer {\\"password\\":\\"hush hush\\"}',
        "psql --password hush -h db",
        "psql --password 'hush hush' -h db",
        ["psql", "--password", "hush"],
        "postgres://app:hush/hush@db:5432/x",
        "postgres://app:hush@hush@db:5432/x",
        "https://hush@registry.example/x",
        'password="hush hush" user=x',
        "password='hush \\' hush' user=x",
        'password="hush hush',
        {"password": 47114711},
        "found sk-ant-hush-hush-0123456789 in it",
        "found ghp_hushhushhushhushhush in it",
        "found AKIAIOSFODNN7EXAMPLE in it",
    ],
)
def test_a_secret_is_replaced_wherever_it_stands(value: Any) -> None:
    found = json.dumps(clean(value))
    assert not re.search("hush|4711|AKIA", found)
    assert HIDDEN in found


@pytest.mark.parametrize(
    "value",
    [
        {"series": "ready/prod/api", "value": 3.0, "labels": {"pod": "claude-orchestrator-7d9f-x2x4z"}},
        {"retries": 3, "keys": ["a"], "secret": None, "tokens": 5, "token": True},
        "bearer of bad news",
        "http://127.0.0.1:18080/api/v1/agents/agent-1/execute",
        {"kind": "Pod", "data": {"x": "y"}},
        "claude-agent-registry is not the key to it",
        "http://127.0.0.1:18080/api, mail to ops at example",
        "task-ant-0123456789 on disk-0123456789012345678901",
        {"name": "ready carts", "value": "3"},
        '{"kind": "Pod", "data": {"key": "y"}}',
        "[not JSON but with a key",
    ],
)
def test_what_is_no_secret_stays(value: Any) -> None:
    assert clean(value) == value


def test_values_become_plain_json() -> None:
    victim = Victim(kind="pod", name="p", uid="u")
    value = {"hand": Hand.API, "path": Path("a/b"), "victim": victim, "set": {2, 1}, "tuple": (1,), "nan": float("nan")}
    plain = clean(value)
    assert plain["hand"] == "api"
    assert plain["path"] == "a/b"
    assert plain["victim"]["name"] == "p"
    assert (plain["set"], plain["tuple"], plain["nan"]) == ([1, 2], [1], None)
    assert json.loads(json.dumps(plain)) == plain


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_cleaning_gives_json_and_cleaning_again_changes_nothing(value: Any) -> None:
    once = clean(value)
    json.dumps(once, allow_nan=False)
    assert clean(once) == once


_PIECES = st.sampled_from([
    "token", "password", "=", ":", " ", '"', "'", "\\", "--password", "authorization", "bearer", "://", "@", "/",
    "{", "}", "[", "]", ",", "x", "sk-ant-", "ghp_0123456789abcdef", HIDDEN, "eyJabcdef.", "\n", "1",
])  # fmt: skip


@given(st.lists(_PIECES, max_size=14).map("".join))
def test_cleaning_a_text_again_changes_nothing(text: str) -> None:
    once = clean(text)
    assert clean(once) == once

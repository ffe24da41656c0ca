"""Ask a credential command: a program of the cluster's provider that prints an ExecCredential."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.cluster.kubeconfig import yaml_text
from harness.cluster.kubeconfig.access import Command
from harness.errors import PreconditionFailed

SECONDS = 60
KIND = "ExecCredential"
# Somebody has to find a key, or another device.
PERSON_SECONDS = 300
MOST_TOLD = 400


@dataclass(frozen=True, slots=True)
class Given:
    """What a command gave: a token, a certificate with its key, or both, and until when."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""
    until: datetime | None = None


def ask(command: Command, context: str) -> Given:
    """Run the command and read its answer; raises PreconditionFailed.

    A terminal is handed on to a command that may use one; one that needs a terminal is refused without.
    """
    terminal = sys.stdin is not None and sys.stdin.isatty()
    if command.mode == "Always" and not terminal:
        raise _failed(command, context, "it needs a terminal (interactiveMode: Always), and there is none", "")
    interactive = terminal and command.mode != "Never"
    request = {
        "kind": KIND,
        "apiVersion": command.version,
        "spec": {"interactive": interactive} | ({"cluster": _plain(command.cluster)} if command.cluster else {}),
    }
    try:
        environment = {**os.environ, **dict(command.environment), "KUBERNETES_EXEC_INFO": json.dumps(request)}
        done = subprocess.run(
            command.argv,
            # Looked for where this process would find it, whatever PATH it is to have itself.
            executable=shutil.which(command.argv[0]),
            env=environment,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            # What it wants to tell the person before the terminal must get there.
            stderr=None if interactive else subprocess.PIPE,
            timeout=PERSON_SECONDS if interactive else SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise _failed(command, context, "there is no such command", command.hint) from None
    except (OSError, subprocess.SubprocessError, ValueError, RecursionError) as error:
        raise _failed(command, context, f"{type(error).__name__}: {error}", command.hint) from None
    if done.returncode:
        said = (done.stderr or b"").decode(errors="replace").strip()[-MOST_TOLD:]
        raise _failed(command, context, f"exit code {done.returncode}" + (f": {said}" if said else ""), command.hint)
    try:
        return read(done.stdout, command.version)
    except (ValueError, RecursionError) as error:
        raise _failed(command, context, str(error), command.hint) from None


def read(answer: bytes, version: str) -> Given:
    """Read an ExecCredential of a version, JSON or YAML; raises ValueError with what is wrong about it."""
    value, _ = yaml_text.read(yaml_text.decoded(answer))
    if not isinstance(value, dict) or value.get("kind", KIND) != KIND:
        raise ValueError("it printed no ExecCredential")
    if value.get("apiVersion") != version:
        raise ValueError(f"it answers in {value.get('apiVersion')!r}, and {version!r} is configured")
    status = value.get("status")
    if not isinstance(status, dict):
        raise ValueError("its answer has no status")
    token, certificate, key, until = (
        _text(status, name) for name in ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
    )
    if not token and not certificate and not key:
        raise ValueError("it gave neither a token nor a certificate")
    if bool(certificate) != bool(key):
        raise ValueError("it gave only one of certificate and key")
    return Given(token, certificate.encode(), key.encode(), _time(until) if until else None)


def _text(status: Mapping[str, Any], name: str) -> str:
    value = status.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"status.{name} is no text")
    return value or ""


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _plain(cluster: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is told of a cluster as JSON has it."""
    ca = cluster.get("certificate-authority-data")
    return {**cluster, **({"certificate-authority-data": base64.b64encode(ca).decode()} if ca else {})}


def _failed(command: Command, context: str, why: str, hint: str) -> PreconditionFailed:
    plain = "".join(sign if sign.isprintable() or sign in "\n\t" else "?" for sign in hint)
    return PreconditionFailed(
        f"the credential command of context {context!r} gave no credentials",
        where=command.argv[0],
        why=why,
        hint=plain or "log in to the cluster as you do for kubectl",
    )

"""Read a kubeconfig: which server, how to trust it and how to be known by it."""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import PreconditionFailed

EXEC_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Access:
    """One context of a kubeconfig, with every file it names already read."""

    context: str
    server: str
    namespace: str
    ca: str = ""
    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    basic: tuple[str, str] | None = None
    command: Mapping[str, Any] | None = None
    insecure: bool = False
    server_name: str = ""

    def ssl_context(self) -> ssl.SSLContext:
        """Build the TLS context for this server."""
        context = ssl.create_default_context(cadata=self.ca or None)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate and self.key:
            # OpenSSL takes certificate and key from a file only; it is gone before this function returns.
            with tempfile.NamedTemporaryFile(suffix=".pem") as pem:
                pem.write(self.certificate.rstrip(b"\n") + b"\n" + self.key)
                pem.flush()
                context.load_cert_chain(pem.name)
        return context

    def bearer(self) -> str:
        """Return the bearer token, asking the configured credential command if there is one."""
        return run_credential_command(self.command, self.context) if self.command else self.token


def default_path() -> Path:
    """Return the kubeconfig a person's kubectl would use first."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def load(path: Path, context: str | None = None) -> Access:
    """Read one context (the current one when none is named) of the kubeconfig at `path`."""
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PreconditionFailed(
            "the kubeconfig cannot be read",
            where=where,
            why=error.strerror or str(error),
            hint="run `harness up` for the local cluster, or name a file with --kubeconfig",
        ) from None
    except UnicodeDecodeError as error:
        raise PreconditionFailed("the kubeconfig is not text", where=where, why=str(error)) from None
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PreconditionFailed("the kubeconfig is not YAML", where=where, why=str(error)) from None
    if not isinstance(document, dict):
        raise PreconditionFailed("the kubeconfig is empty", where=where, hint="run `harness up`, or name another file")
    return _access(document, path, context)


def _access(document: dict[str, Any], path: Path, context: str | None) -> Access:
    name = context or document.get("current-context") or ""
    contexts = _by_name(document, "contexts", "context")
    if name not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        raise PreconditionFailed(
            f"there is no context {name!r}" if name else "the kubeconfig has no current context",
            where=str(path),
            why=f"it has: {known}",
            hint="name one of them with --context",
        )
    chosen = contexts[name]
    cluster = _by_name(document, "clusters", "cluster").get(str(chosen.get("cluster")))
    user = _by_name(document, "users", "user").get(str(chosen.get("user")), {})
    if not cluster or not cluster.get("server"):
        raise PreconditionFailed(f"context {name!r} names no cluster with a server", where=str(path))
    basic = (str(user["username"]), str(user.get("password", ""))) if user.get("username") else None
    return Access(
        context=name,
        server=str(cluster["server"]).rstrip("/"),
        namespace=str(chosen.get("namespace") or "default"),
        ca=_data(cluster, "certificate-authority", path).decode(),
        certificate=_data(user, "client-certificate", path),
        key=_data(user, "client-key", path),
        token=str(user.get("token") or "") or _token_file(user, path),
        basic=basic,
        command=user.get("exec"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=str(cluster.get("tls-server-name") or ""),
    )


def _by_name(document: dict[str, Any], group: str, key: str) -> dict[str, dict[str, Any]]:
    return {str(entry.get("name")): entry.get(key) or {} for entry in document.get(group) or []}


def _data(section: dict[str, Any], key: str, path: Path) -> bytes:
    inline = section.get(f"{key}-data")
    if inline:
        try:
            return base64.b64decode(inline, validate=True)
        except (binascii.Error, ValueError):
            raise PreconditionFailed(f"{key}-data is not base64", where=str(path)) from None
    return _read(path, section[key]).strip() + b"\n" if section.get(key) else b""


def _token_file(user: dict[str, Any], path: Path) -> str:
    return _read(path, user["tokenFile"]).decode().strip() if user.get("tokenFile") else ""


def _read(kubeconfig: Path, name: str) -> bytes:
    try:
        return (kubeconfig.parent / name).read_bytes()
    except OSError as error:
        raise PreconditionFailed(
            f"a file the kubeconfig names cannot be read: {name}", where=str(kubeconfig), why=error.strerror or ""
        ) from None


def run_credential_command(command: Mapping[str, Any], context: str) -> str:
    """Ask an exec credential plugin for a token."""
    argv = [str(command["command"]), *map(str, command.get("args") or [])]
    extra = {str(pair["name"]): str(pair["value"]) for pair in command.get("env") or []}
    request = {"apiVersion": command.get("apiVersion", ""), "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {**os.environ, **extra, "KUBERNETES_EXEC_INFO": json.dumps(request)}
    try:
        done = subprocess.run(
            argv, env=environment, capture_output=True, timeout=EXEC_SECONDS, check=True, stdin=subprocess.DEVNULL
        )
        return str(json.loads(done.stdout)["status"]["token"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise PreconditionFailed(
            f"the credential command of context {context!r} gave no token",
            where=argv[0],
            why=f"{type(error).__name__}: {error}",
            hint=command.get("installHint", "") or "log in to the cluster as you do for kubectl",
        ) from None

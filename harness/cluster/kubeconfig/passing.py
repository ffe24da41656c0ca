"""Hand an access on to other programs (kubectl, probes, foreign steps) as a kubeconfig of one context.

It names that context as the current one, so that nobody falls back to another, and holds paths that are absolute.
Secrets in it never reach a disk where the system has files in memory; the file is gone with the process that made it.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import threading
from pathlib import Path
from typing import IO, Any

from harness.cluster.kubeconfig import memory
from harness.cluster.kubeconfig.access import Access, Command
from harness.cluster.kubeconfig.selection import CONFIG_EXTENSION

_files: dict[bytes, IO[bytes]] = {}
_one_at_a_time = threading.Lock()


def document(access: Access) -> dict[str, Any]:
    """Return the kubeconfig of one access; empty fields are left out."""
    told = (access.command.cluster or {}) if access.command else {}
    cluster: dict[str, Any] = {
        "server": told.get("server", access.server),
        "certificate-authority-data": _data(access.ca),
        "insecure-skip-tls-verify": access.insecure,
        "tls-server-name": access.server_name,
        "proxy-url": access.proxy,
        "disable-compression": told.get("disable-compression"),
    }
    if told.get("config") is not None:
        cluster["extensions"] = [{"name": CONFIG_EXTENSION, "extension": told["config"]}]
    user: dict[str, Any] = {"token": access.token, "tokenFile": str(access.token_file or "")}
    if access.certificate_files:
        user |= dict(zip(("client-certificate", "client-key"), map(str, access.certificate_files), strict=True))
    else:
        user |= {"client-certificate-data": _data(access.certificate), "client-key-data": _data(access.key)}
    if access.basic:
        user |= dict(zip(("username", "password"), access.basic, strict=True))
    if access.command:
        user["exec"] = _exec(access.command)
    if who := access.impersonation:
        extra = {key: list(values) for key, values in who.extra.items()}
        user |= {"as": who.user, "as-uid": who.uid, "as-groups": list(who.groups), "as-user-extra": extra}
    name = access.context
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": _filled(cluster)}],
        "users": [{"name": name, "user": _filled(user)}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": access.namespace}}],
    }


def hand_on(access: Access) -> Path:
    """Return the path of such a kubeconfig; it stays for as long as this process."""
    content = json.dumps(document(access)).encode()
    with _one_at_a_time:
        if content not in _files:
            _files[content] = memory.made(".kubeconfig")
            _files[content].write(content)
            _files[content].flush()
    return Path(memory.path(_files[content], str(os.getpid())))


def environment(access: Access, *, local: bool) -> dict[str, str]:
    """Return the variables by which probes and foreign steps find this access, and whether the cluster is our own."""
    found = {"HARNESS_CONTEXT": access.context, "HARNESS_KUBECONFIG": str(hand_on(access))}
    return found | ({"HARNESS_LOCAL": "1"} if local else {})


def forget() -> None:
    """Close what was handed on; the paths are good for nothing from then on."""
    with _one_at_a_time:
        for file in _files.values():
            file.close()
        _files.clear()


atexit.register(forget)


def _exec(command: Command) -> dict[str, Any]:
    return {
        "apiVersion": command.version,
        "command": command.argv[0],
        "args": list(command.argv[1:]),
        "env": [{"name": name, "value": value} for name, value in command.environment],
        "installHint": command.hint,
        "interactiveMode": command.mode,
        "provideClusterInfo": command.cluster is not None,
    }


def _data(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}

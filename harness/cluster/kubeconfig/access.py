"""How a server is reached and who asks: one context of a kubeconfig, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command that gives credentials; `cluster` is what it is told of the cluster, where it asked for that."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    version: str
    mode: str
    hint: str = ""
    cluster: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Impersonation:
    """Whom the server is asked to treat us as."""

    user: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def headers(self) -> Headers:
        """The headers that ask for it; each group and each value of an extra has one of its own."""
        found = [("Impersonate-User", self.user), *([("Impersonate-Uid", self.uid)] if self.uid else [])]
        found += [("Impersonate-Group", group) for group in self.groups]
        found += [(f"Impersonate-Extra-{_escaped(key)}", one) for key, values in self.extra.items() for one in values]
        return tuple((name, value.encode("utf-8", "surrogatepass")) for name, value in found)


@dataclass(frozen=True, slots=True)
class Access:
    """One context: its server, how that is trusted, and by what we are known to it.

    Of token, certificate, basic and command those are set that count. Files are read when they are used, for they are
    replaced while a run goes on. `remarks` tell what was left out of account.
    """

    context: str
    server: str
    namespace: str = "default"
    ca: bytes = b""
    insecure: bool = False
    server_name: str = ""
    proxy: str = ""
    certificate: bytes = b""
    key: bytes = b""
    certificate_files: tuple[Path, Path] | None = None
    token: str = ""
    token_file: Path | None = None
    basic: tuple[str, str] | None = None
    command: Command | None = None
    impersonation: Impersonation | None = None
    remarks: tuple[str, ...] = field(default=(), compare=False)


def _escaped(key: str) -> str:
    """Write a key so that it can be part of a header's name, as the API server reads it."""
    legal = b"!#$&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join(chr(byte) if byte in legal else f"%{byte:02X}" for byte in key.encode("utf-8", "surrogatepass"))

"""Choose one context and say how its server is reached and who asks: what client-go makes of the same kubeconfig.

What client-go refuses is refused, and so is what is not supported here, by name; a field of a user that nobody knows
may be one that narrows its rights.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.cluster.kubeconfig.access import Access, Command, Impersonation
from harness.cluster.kubeconfig.document import EXEC, USER, Document, Entry
from harness.errors import PreconditionFailed

PROXIES = ("http", "https", "socks5")
VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
MODES = ("Never", "IfAvailable", "Always")
CONFIG_EXTENSION = "client.authentication.k8s.io/exec"
# No longer read by anybody since Kubernetes 1.6, and still in old files.
DEAD = frozenset({"api-version"})
_HEADER = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")


def select(document: Document, context: str | None, where: str) -> Access:
    """Return the access that a context, the current one when none is named, gives; raises PreconditionFailed."""
    name = context or document.current
    if name not in document.contexts:
        raise _no_context(document, name, where)
    chosen = document.contexts[name]
    if not (name + chosen.fields["namespace"]).isprintable():
        # It is part of variables and commands.
        raise _wrong(chosen, f"the name or namespace of context {name!r} has a character that cannot be shown")
    cluster = document.clusters.get(chosen.fields["cluster"])
    user = document.users.get(chosen.fields["user"])
    if cluster is None or not cluster.fields["server"]:
        raise PreconditionFailed(f"context {name!r} names no cluster with a server", where=str(chosen.path))
    secure, server = _server(cluster)
    credentials = _credentials(user, cluster, secure=secure) if user else {}
    if secure and not any(credentials.get(key) for key in ("certificate", "token", "token_file", "basic", "command")):
        raise PreconditionFailed(
            f"context {name!r} has no credentials",
            where=str(chosen.path),
            why=f"user {chosen.fields['user']!r} is not there" if user is None else "kubectl would ask for a password",
            hint="log in to the cluster as you do for kubectl",
        )
    return Access(
        context=name,
        server=server,
        namespace=chosen.fields["namespace"] or "default",
        remarks=(*document.remarks, *_unused(chosen, "context"), *_unused(cluster, "cluster")),
        impersonation=_impersonation(user) if user else None,
        **(_trust(cluster) if secure else {}),
        proxy=_proxy(cluster),
        **credentials,
    )


def _no_context(document: Document, name: str, where: str) -> PreconditionFailed:
    known = ", ".join(sorted(document.contexts))
    if not known:
        hint = "run `harness up` for the local cluster, or name another file with --kubeconfig"
        return PreconditionFailed("the kubeconfig is empty", where=where, why="it has no context", hint=hint)
    return PreconditionFailed(
        f"there is no context {name!r}" if name else "the kubeconfig has no current context",
        where=where,
        why=f"it has: {known}",
        hint="name one of them with --context",
    )


def _unused(entry: Entry, kind: str) -> Iterable[str]:
    strange = [key for key in entry.unknown if key not in DEAD]
    return (f"{entry.path}: {kind} {entry.name!r}: {key!r} is not known and not used" for key in strange)


def _wrong(entry: Entry, what: str, why: str = "", hint: str = "") -> PreconditionFailed:
    return PreconditionFailed(what, where=str(entry.path), why=why, hint=hint)


# -- the server ------------------------------------------------------------------------------------------------------


def _server(cluster: Entry) -> tuple[bool, str]:
    """Return whether the server is asked over TLS, and its address; one without a scheme is asked in plain text."""
    given = cluster.fields["server"]
    try:
        parts = urlsplit(given)
        bare = not parts.scheme or not parts.netloc
        url = f"http://{given}" if bare else given
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not sound(url) or (bare and parts.path not in ("", "/")):
            raise ValueError("it must be http(s)://HOST:PORT/PATH or HOST:PORT")
    except ValueError as error:
        raise _wrong(
            cluster, f"the server of cluster {cluster.name!r} is no address: {discreet(given)!r}", str(error)
        ) from None
    if len(parts.path) > 1:
        url = parts._replace(query="", fragment="").geturl()
    return parts.scheme == "https", url.rstrip("/")


def sound(url: str) -> bool:
    """Say whether a URL names a host, and a port that can be one."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        return False


def discreet(url: str) -> str:
    """Show a URL without whom it names, who may have a password there."""
    return re.sub(r"(^|//)[^/@]*@", r"\1...@", url)


def _trust(cluster: Entry) -> dict[str, Any]:
    given, file = cluster.fields["certificate-authority-data"], cluster.fields["certificate-authority"]
    if given and file:
        raise _wrong(cluster, f"cluster {cluster.name!r} has certificate-authority and certificate-authority-data")
    ca = given or (_content(cluster, file) if file else b"")
    if file and not ca:
        raise _wrong(cluster, f"a file the kubeconfig names is empty: {file}")
    insecure = cluster.fields["insecure-skip-tls-verify"]
    if ca and insecure:
        raise _wrong(
            cluster,
            f"cluster {cluster.name!r} has a certificate authority and insecure-skip-tls-verify",
            "one says whom to trust, the other to trust anybody; kubectl refuses both together",
        )
    return {"ca": ca, "insecure": insecure, "server_name": cluster.fields["tls-server-name"]}


def _proxy(cluster: Entry) -> str:
    given: str = cluster.fields["proxy-url"]
    if not given:
        return ""
    if not sound(given) or urlsplit(given).scheme not in PROXIES:
        raise _wrong(
            cluster,
            f"the proxy-url of cluster {cluster.name!r} is not http, https or socks5://HOST:PORT: {discreet(given)!r}",
        )
    return given


# -- the user --------------------------------------------------------------------------------------------------------


def _credentials(user: Entry, cluster: Entry, *, secure: bool) -> dict[str, Any]:
    """Return what the user is known by, in client-go's order of precedence; over plain text nothing is sent."""
    fields = user.fields
    if user.unknown:
        raise _unknown(user)
    if fields["auth-provider"] is not None:
        raise _wrong(
            user,
            f"user {user.name!r} has an auth-provider ({fields['auth-provider']}), which is not supported",
            "Kubernetes has replaced them by credential commands",
            "configure an `exec` command for this user, as the cluster's provider describes",
        )
    basic = (fields["username"], fields["password"]) if fields["username"] else None
    if fields["token"] and (basic or fields["password"]):
        raise _wrong(user, f"user {user.name!r} has a token and a password, only one is allowed")
    certificate = _certificate(user)
    command = _command(user, cluster) if fields["exec"] is not None else None
    if not secure:
        return {}
    token_file = _beside(user, fields["tokenFile"]) if fields["tokenFile"] else None
    if token_file and not fields["token"]:
        _text(user, token_file)
    if token_file and basic:
        raise _wrong(user, f"user {user.name!r} has a tokenFile and a password, only one is allowed")
    if fields["token"] or token_file or basic or certificate:
        command = None
    return {**certificate, "token": fields["token"], "token_file": token_file, "basic": basic, "command": command}


def _unknown(user: Entry) -> PreconditionFailed:
    key = user.unknown[0]
    near = difflib.get_close_matches(key.removeprefix("exec."), EXEC if key.startswith("exec.") else USER, n=1)
    return _wrong(
        user,
        f"user {user.name!r} has a field that is not known: {key}",
        "it may narrow what this user may do, and would be ignored",
        f"did you mean {near[0]!r}?" if near else "take it out if it means nothing",
    )


def _certificate(user: Entry) -> dict[str, Any]:
    fields = user.fields
    file, key_file = fields["client-certificate"], fields["client-key"]
    given, key = fields["client-certificate-data"], fields["client-key-data"]
    if not file and not given:
        return {}
    if (file and given) or (key_file and key):
        raise _wrong(user, f"user {user.name!r} has a certificate or a key both as a file and as data")
    if not key_file and not key:
        raise _wrong(user, f"user {user.name!r} has a client certificate and no key")
    found = {
        "certificate": given or _content(user, file),
        "key": key or _content(user, key_file),
    }
    if file and key_file:
        found["certificate_files"] = (_beside(user, file), _beside(user, key_file))
    return found


def _command(user: Entry, cluster: Entry) -> Command:
    given = user.fields["exec"]
    version = given["apiVersion"]
    mode = given["interactiveMode"] or ("IfAvailable" if version == VERSIONS[1] else "")
    wrong = [
        (not given["command"], "no command"),
        (version not in VERSIONS, f"apiVersion {version!r}, known are {' and '.join(VERSIONS)}"),
        (mode not in MODES, f"interactiveMode {mode!r}, known are {', '.join(MODES)}"),
        (any(not name for name, _ in given["env"]), "an env variable without a name"),
    ]
    for bad, what in wrong:
        if bad:
            raise _wrong(user, f"the exec command of user {user.name!r} has {what}")
    words = (given["command"], *given["args"])
    if any("\0" in word for word in words) or any("\0" in name + value or "=" in name for name, value in given["env"]):
        raise _wrong(user, f"the exec command of user {user.name!r} has a character that no command can have")
    # One that is a path lies beside the kubeconfig, any other is looked for as a shell does.
    program = str(_beside(user, given["command"])) if "/" in given["command"] else given["command"]
    told = _told(cluster) if given["provideClusterInfo"] else None
    return Command((program, *given["args"]), given["env"], version, mode, given["installHint"], told)


def _told(cluster: Entry) -> Mapping[str, Any]:
    """Return what a credential command is told of the cluster."""
    trust = _trust(cluster)
    values = {
        "tls-server-name": trust["server_name"],
        "insecure-skip-tls-verify": trust["insecure"],
        "certificate-authority-data": trust["ca"],
        "proxy-url": cluster.fields["proxy-url"],
        "disable-compression": cluster.fields["disable-compression"],
        "config": cluster.fields["extensions"].get(CONFIG_EXTENSION),
    }
    return {"server": cluster.fields["server"]} | {key: value for key, value in values.items() if value}


def _impersonation(user: Entry) -> Impersonation | None:
    fields = user.fields
    if not fields["as"]:
        if fields["as-groups"] or fields["as-user-extra"] or fields["as-uid"]:
            raise _wrong(user, f"user {user.name!r} has as-uid, as-groups or as-user-extra, and no `as`")
        return None
    found = Impersonation(fields["as"], fields["as-uid"], fields["as-groups"], fields["as-user-extra"])
    if any(_HEADER.fullmatch(value) is None for _, value in found.headers):
        raise _wrong(user, f"user {user.name!r}: what it impersonates has a character that no header can have")
    return found


# -- files -----------------------------------------------------------------------------------------------------------


def _beside(entry: Entry, name: str) -> Path:
    """Find a file that an entry names: a relative name is relative to the file that the entry stands in.

    As in Go, `..` is taken off the names: out of a folder that is a link it leads to where the link lies.
    """
    path = Path(name)
    return path if path.is_absolute() else Path(os.path.normpath(entry.path.absolute().parent / path))


def _content(entry: Entry, name: str) -> bytes:
    try:
        return _beside(entry, name).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _wrong(entry, f"a file the kubeconfig names cannot be read: {name}", why) from None


def _text(user: Entry, path: Path) -> None:
    """Refuse a token file that holds no token; what it holds is read when a request is made."""
    if not _content(user, str(path)).strip():
        raise _wrong(user, f"a file the kubeconfig names is empty: {path}")

"""Find the kubeconfig files that a person's kubectl would read, and merge them by its rules.

The first file that names a cluster, a user or a context has it, whole: nothing of a later entry of that name counts.
The first `current-context` wins. A file that is missing is left out, one that is no kubeconfig is refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from harness.cluster.kubeconfig import document
from harness.cluster.kubeconfig.document import Document, Entry
from harness.errors import PreconditionFailed

VARIABLE = "KUBECONFIG"
GET_ONE = "run `harness up` for the local cluster, or name a file with --kubeconfig"
# What stands in a list where it was not written for a shell, or for another system.
SLIPS = {
    "\"'": "the names stand without quotes",
    "~": "only a shell expands '~'; write the path out",
    ",;": "the names of several files are separated by ':'",
}


def files() -> tuple[Path, ...]:
    """List the files that the environment names, those of KUBECONFIG or else the one in the home directory."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        return (_home() / ".kube" / "config",)
    return tuple(dict.fromkeys(Path(word) for word in named.split(os.pathsep) if word))


def _home() -> Path:
    try:
        return Path(os.environ.get("HOME") or Path.home())
    except RuntimeError:  # a container's user that the system does not know: as kubectl, from where it was started
        return Path()


def require_any() -> None:
    """Refuse a list of files of which none is there, with what may be wrong in it; raises PreconditionFailed."""
    named = os.environ.get(VARIABLE, "")
    # Path.exists() raises below a folder that this user may not search.
    if any(os.access(path, os.F_OK) for path in files()):
        return
    raise PreconditionFailed(
        "there is no kubeconfig",
        where=f"{VARIABLE}={named}" if named else str(_home() / ".kube" / "config"),
        why="no file is there",
        hint=next((hint for signs, hint in SLIPS.items() if not set(signs).isdisjoint(named)), GET_ONE),
    )


def merged(kubeconfig: Path | None) -> Document:
    """Read one file that must be there, or without one those of the environment; raises PreconditionFailed."""
    if kubeconfig is None:
        return merge([found for path in files() if (found := _if_there(path))])
    try:
        return document.read(kubeconfig)
    except FileNotFoundError as error:
        raise PreconditionFailed(
            "the kubeconfig cannot be read",
            where=str(kubeconfig),
            why=error.strerror or str(error),
            hint=GET_ONE,
        ) from None


def merge(documents: Sequence[Document]) -> Document:
    """Merge documents, the first one first."""
    clusters: dict[str, Entry] = {}
    users: dict[str, Entry] = {}
    contexts: dict[str, Entry] = {}
    for found in reversed(documents):
        clusters |= found.clusters
        users |= found.users
        contexts |= found.contexts
    return Document(
        current=next((found.current for found in documents if found.current), ""),
        clusters=clusters,
        users=users,
        contexts=contexts,
        remarks=tuple(remark for found in documents for remark in found.remarks),
    )


def _if_there(path: Path) -> Document | None:
    try:
        return document.read(path)
    except FileNotFoundError:
        return None

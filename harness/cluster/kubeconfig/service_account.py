"""The pod's own service account, where the harness runs inside a cluster."""

from __future__ import annotations

import os
from pathlib import Path

from harness.cluster.kubeconfig.access import Access
from harness.errors import PreconditionFailed

CONTEXT = "in-cluster"
FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def found() -> bool:
    """Say whether this is a pod that an API server was named to."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST"))


def access(folder: Path = FOLDER) -> Access:
    """Return the access that every pod with a service account has; raises PreconditionFailed outside of a pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    try:
        ca, token = (folder / "ca.crt").read_bytes(), (folder / "token").read_text().strip()
        if not host or not port or not token:
            raise OSError("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, or the token is empty")
    except (OSError, ValueError) as error:
        raise PreconditionFailed(
            f"there is no context {CONTEXT!r}",
            where=str(folder),
            why=f"this is no pod with a service account: {error}",
            hint="name a context of a kubeconfig with --context",
        ) from None
    name = folder / "namespace"
    return Access(
        context=CONTEXT,
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=os.environ.get("POD_NAMESPACE") or (name.read_text().strip() if name.is_file() else "default"),
        ca=ca,
        token_file=folder / "token",
    )

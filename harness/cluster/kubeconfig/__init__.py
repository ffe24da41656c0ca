"""Read kubeconfigs as kubectl does: which server, how to trust it and how to be known by it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from harness.cluster.kubeconfig import merge, service_account
from harness.cluster.kubeconfig.access import Access
from harness.cluster.kubeconfig.selection import select

__all__ = ["Access", "load"]


def load(kubeconfig: Path | None, context: str | None = None) -> Access:
    """Read one context, the current one when none is named, of a kubeconfig or of those that the environment names.

    The context `in-cluster` is that of the pod's own service account, unless a kubeconfig has one of that name.
    Raises PreconditionFailed for what kubectl would refuse, and for what is not supported, by name.
    """
    document = merge.merged(kubeconfig)
    if kubeconfig is None and context == service_account.CONTEXT and context not in document.contexts:
        return service_account.access()
    if kubeconfig is None:
        merge.require_any()
    where = str(kubeconfig) if kubeconfig else os.pathsep.join(map(str, merge.files())) or merge.VARIABLE
    found = select(document, context, where)
    for remark in found.remarks:
        logging.getLogger(__name__).warning(remark)
    return found

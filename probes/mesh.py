"""Who is let in: what callers with and without a right get, and how long certificates still hold."""

from __future__ import annotations

import json
import re
from collections import Counter

from harness.errors import ObservationFailed
from harness.probes import pods
from harness.probes.settings import Settings

# The pods of part mesh that call when they are asked to (claude_services/caller.py), and where they are asked.
CALLERS, PORT = "caller", 8080
ANSWERED = "answered"
# No request lasts longer: whoever waits for an answer gives up at some time.
ROUND_SECONDS = 5
# The agent beside a proxy tells of its certificates here, in plain text, whatever policies say.
AGENT_PORT = 15020
EXPIRY = re.compile(r'^istio_agent_cert_expiry_seconds\{.*resource_name="default".*\} (\S+)$', re.MULTILINE)


def calls(namespace: str, seconds: int = ROUND_SECONDS, secrets: Settings = None) -> dict[str, dict[str, int]]:
    """Have every caller call for about so long; return how often it got what, by caller and target.

    Raises ObservationFailed where one that may call was never answered: then it is no policy that turned others away.
    """
    got: dict[str, Counter[str]] = {}
    may = set[str]()
    for start in range(0, seconds, ROUND_SECONDS):
        path = f"v1/calls/{min(ROUND_SECONDS, seconds - start)}"
        for pod, text in pods.texts(namespace, CALLERS, PORT, path, secrets).items():
            for target in json.loads(text):
                name = f"{pod} -> {target['url']}"
                got.setdefault(name, Counter()).update(target["got"])
                may |= {name} if target["may"] else set()
    if not any(got[name][ANSWERED] for name in may):
        told = {name: dict(got[name]) for name in sorted(may)}
        raise ObservationFailed("nobody who may call was answered", where=namespace, why=f"they got {told}")
    return {name: dict(found) for name, found in got.items()}


def let_in(namespace: str, within: int, secrets: Settings = None) -> int:
    """Return how many calls of so many last seconds were answered by services that must not have been reached."""
    return sum(int(text) for text in pods.texts(namespace, CALLERS, PORT, f"v1/let-in/{within}", secrets).values())


def certificate_seconds(namespace: str, selector: str, secrets: Settings = None) -> float:
    """Return how long the certificate of each proxy still holds at least.

    Raises ObservationFailed where one does not tell.
    """
    told = pods.texts(namespace, selector, AGENT_PORT, "metrics", secrets)
    return min(_expiry(pod, text) for pod, text in told.items())


def _expiry(pod: str, text: str) -> float:
    told = EXPIRY.search(text)
    if told is None:
        raise ObservationFailed("the proxy does not tell of its certificate", where=pod)
    return float(told[1])

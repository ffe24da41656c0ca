"""Write what became of a fault into its resource's status, in order, one at a time, whenever the API server answers."""

from __future__ import annotations

import threading
import time
from typing import Any

from harness.agent.resident.api import Answered, Api, Unreachable

AGAIN_SECONDS = 1.0
MOST = 1000
# One that starts or is busy says so, and one that starts knows nobody's rights yet.
LATER = (401, 403, 409, 429)
Facts = dict[str, Any]


class Statuses:
    """What is still to be written; of one fault what comes later is merged into what waits."""

    def __init__(self, api: Api) -> None:
        self._api, self._changed = api, threading.Condition()
        self._waiting: dict[str, Facts] = {}
        self._writing = ""

    def tell(self, path: str, facts: Facts) -> None:
        """Have something written into the status of a resource; never waits."""
        with self._changed:
            if len(self._waiting) < MOST or path in self._waiting:
                self._waiting[path] = merged(self._waiting.get(path, {}), facts)
                self._changed.notify_all()

    def write(self) -> None:
        """Write for ever; a resource that is gone needs no status, and what is never taken holds nothing up."""
        while True:
            with self._changed:
                self._writing = ""
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                path = self._writing = next(iter(self._waiting))
                facts = self._waiting.pop(path)
            try:
                self._api.patch(f"{path}/status", {"status": facts})
            except (Answered, Unreachable) as error:
                if isinstance(error, Answered) and error.status < 500 and error.status not in LATER:
                    continue
                with self._changed:
                    self._waiting[path] = merged(facts, self._waiting.get(path, {}))
                time.sleep(AGAIN_SECONDS)

    def written(self, seconds: float) -> bool:
        """Wait at most so long until nothing is left to be written, and say whether nothing is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._writing, seconds)


def merged(old: Facts, new: Facts) -> Facts:
    """Lay new facts over old ones, at every depth."""
    found = dict(old)
    for key, value in new.items():
        under = found.get(key)
        found[key] = merged(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return found

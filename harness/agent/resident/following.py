"""Follow what the API server says: which faults this node shall have, and which runs live."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from harness.agent.resident import fault as faults
from harness.agent.resident.api import Answered, Api, Unreachable
from harness.agent.resident.fault import GROUP, Fault
from harness.agent.resident.healing import Agent, Tell, now, say
from harness.agent.resident.refused import Refused

FAULTS, NODE_FAULTS = f"/apis/{GROUP}/v1alpha1/faults", f"/apis/{GROUP}/v1alpha1/nodefaults"
LEASES = "/apis/coordination.k8s.io/v1/leases"
LEASE_NAME = "chaos-run"
EXPIRED, HEAL = f"{GROUP}/expired", f"{GROUP}/heal"
NEVER, BEFORE = "it was never begun", "the agent before this one undid it"
BACKOFF = (0.2, 0.5, 1.0, 2.0)
_GONE = 410
Item = dict[str, Any]
Check = Callable[[Item, Fault], None]


class Follower:
    """One collection: everything there is at first, then each change, for ever, through every outage."""

    def __init__(self, api: Api, path: str, query: dict[str, str], all_of: Callable[[list[Item]], None]) -> None:
        self._api, self._path, self._query, self._all = api, path, query, all_of
        self._items: dict[str, Item] = {}
        self.answers = False

    def follow(self, over: threading.Event) -> None:
        """Hand everything that there is over after each change."""
        failures = 0
        while not over.is_set():
            try:
                version = self._list()
                self.answers, failures = True, 0
                self._watch(version, over)
            except Exception as error:  # whatever it is: who does not follow hears of no undo
                if isinstance(error, Answered) and error.status == _GONE:
                    continue
                self.answers = False
                if failures == 0:
                    say(f"{self._path}: {error if isinstance(error, Unreachable | Answered) else repr(error)}")
                over.wait(BACKOFF[min(failures, len(BACKOFF) - 1)])
                failures += 1

    def _list(self) -> str:
        found = self._api.get(self._path, **self._query)
        self._items = {item["metadata"]["uid"]: item for item in found.get("items") or []}
        self._all(list(self._items.values()))
        return str(found["metadata"]["resourceVersion"])

    def _watch(self, version: str, over: threading.Event) -> None:
        for event in self._api.watch(self._path, version, **self._query):
            if over.is_set() or event["type"] == "ERROR":
                return
            item = event["object"]
            if event["type"] == "DELETED":
                self._items.pop(item["metadata"]["uid"], None)
            elif event["type"] != "BOOKMARK":
                self._items[item["metadata"]["uid"]] = item
            self._all(list(self._items.values()))


class Wanted:
    """The faults that one collection wants of this node: new ones are done, those that are gone are healed."""

    def __init__(self, agent: Agent, kind: str, tell: Tell, check: Check) -> None:
        self._agent, self._kind, self._tell, self._check = agent, kind, tell, check
        self._seen: set[str] = set()
        self._wanted: set[str] = set()
        self._before: set[str] = set()  # of what was seen, what an agent before this one began

    def __call__(self, items: list[Item]) -> None:
        """Compare what is wanted with what is done."""
        wanted = {item["metadata"]["uid"]: item for item in items if not _shall_heal(item)}
        self._wanted = set(wanted)
        for key, item in wanted.items():
            if key not in self._seen:
                self._seen.add(key)
                self._begin(item)
        for item in items:
            if _shall_heal(item):
                self._answer(item)
        there = {item["metadata"]["uid"] for item in items}
        self._seen &= there
        self._before &= there
        for key, fault in self._agent.keys().items():
            if key not in wanted and f"/{self._kind}/" in fault.path:
                threading.Thread(target=self._heal, args=(key,), daemon=True).start()

    def _begin(self, item: Item) -> None:
        if (item.get("status") or {}).get("appliedAt"):
            self._before.add(item["metadata"]["uid"])
            return
        try:
            fault = faults.read(item)
        except Refused as refused:
            self._tell(faults.path(item), {"message": f"refused: {refused}"})
            return
        if fault is not None:
            threading.Thread(target=self._do, args=(item, fault), daemon=True).start()

    def _answer(self, item: Item) -> None:
        """Say of a fault that is to be healed and that this agent never did that it is: whoever asked waits for a word.

        What an agent did and undid it tells itself, but one that was killed in between did not.
        """
        key, status = item["metadata"]["uid"], item.get("status") or {}
        own = key in self._seen and key not in self._before
        if item["spec"].get("hand") != "node" or own or key in self._agent.ledger.faults() or "healedAt" in status:
            return
        self._seen.add(key)
        self._before.discard(key)
        self._tell(faults.path(item), {"healedAt": now(), "message": BEFORE if "appliedAt" in status else NEVER})

    def _do(self, item: Item, fault: Fault) -> None:
        try:
            self._check(item, fault)
        except Refused as refused:
            self._tell(fault.path, {"message": f"refused: {refused}"})
            return
        taken = self._agent.do(fault)
        if not taken:
            self._before.add(fault.key)
        # It may have been taken away before the agent knew it.
        if fault.key not in self._wanted:
            if taken:
                self._heal(fault.key)
            else:
                self._tell(fault.path, {"healedAt": now(), "message": BEFORE})

    def _heal(self, key: str) -> None:
        self._agent.heal(key, "nobody wants it any more")


class Runs:
    """Which runs hold a Lease; one that lost all of them, or was marked, is over."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._holding: set[str] = set()

    def __call__(self, items: list[Item]) -> None:
        """Note who renewed, and end whoever does not hold one any more."""
        holding, marked = set(), set()
        for item in items:
            metadata, holder = item["metadata"], (item.get("spec") or {}).get("holderIdentity")
            if not holder:
                continue
            if (metadata.get("annotations") or {}).get(EXPIRED) == holder:
                marked.add(holder)
                continue
            holding.add(holder)
            self._agent.leases.hear(holder, metadata["uid"], metadata["resourceVersion"])
        for run in sorted(marked):
            if not self._agent.ledger.expired(run):
                self._agent.over(run, "a healer marked it expired")
        for run in sorted(self._holding - holding - marked):
            self._agent.over(run, "it gave its lease back")
        self._holding = holding


def _shall_heal(item: Item) -> bool:
    metadata = item["metadata"]
    return bool(metadata.get("deletionTimestamp")) or (metadata.get("annotations") or {}).get(HEAL) == "true"

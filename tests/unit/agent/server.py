"""A small API server: objects that can be listed, watched, changed and taken away, and its going away itself."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import urllib.parse
from typing import Any

from harness.agent.resident.following import FAULTS, LEASES, NODE_FAULTS
from harness.agent.resident.statuses import merged

Item = dict[str, Any]


class Server:
    """It serves until it is closed; `stop` and `start` are an outage."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._objects: dict[str, Item] = {}
        self._events: list[tuple[int, str, str, Item]] = []
        self._version = 1
        self._outages = 0
        self._followed: list[str] = []
        self._http: http.server.ThreadingHTTPServer | None = None
        # Held for as long as this object is, or somebody else might have it when an outage is over.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port = self._place.getsockname()[1]
        self.start()

    def put(self, path: str, item: Item) -> None:
        """Create an object, or change it."""
        with self._changed:
            self._version += 1
            kind = "MODIFIED" if path in self._objects else "ADDED"
            metadata = {"name": path.rsplit("/", 1)[1], "uid": f"uid-of-{path}", **item.get("metadata", {})}
            if "/namespaces/" in path:
                metadata["namespace"] = path.split("/namespaces/")[1].split("/")[0]
            self._objects[path] = {**item, "metadata": {**metadata, "resourceVersion": str(self._version)}}
            self._note(kind, path)

    def delete(self, path: str) -> None:
        with self._changed:
            self._version += 1
            self._note("DELETED", path)
            del self._objects[path]
            self._changed.notify_all()

    def wait(self, path: str, true: Any) -> Item:
        """Wait until an object is so."""
        with self._changed:
            assert self._changed.wait_for(lambda: true(self._objects[path]), 30), self._objects.get(path)
            return self._objects[path]

    def get(self, path: str) -> Item:
        with self._changed:
            return self._objects[path]

    def pod(self, path: str) -> Item | None:
        """Return a pod: what was put there, or else what the last fault of its namespace takes it for."""
        _, _, place = path.partition("/namespaces/")
        with self._changed:
            if path in self._objects:
                return self._objects[path]
            for one, item in reversed(self._objects.items()):
                target = item.get("spec", {}).get("target") or {}
                namespace = one.partition("/namespaces/")[2].split("/")[0]
                if "/faults/" in one and place == f"{namespace}/pods/{target.get('name')}":
                    return {"metadata": {"name": target["name"], "uid": target["uid"]}}
        return None

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"owner": self})
        http.server.ThreadingHTTPServer.daemon_threads = True
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        with self._changed:
            self._outages += 1
            self._changed.notify_all()
        assert self._http
        self._http.shutdown()
        self._http.server_close()

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._place.close()

    @property
    def follows(self) -> int:
        """Return how often somebody has begun to follow a collection."""
        with self._changed:
            return len(self._followed)

    def followed(self, since: int) -> None:
        """Wait until somebody has begun to follow all that an agent follows, and so has seen all that was there."""
        with self._changed:
            assert self._changed.wait_for(lambda: {FAULTS, NODE_FAULTS, LEASES} <= {*self._followed[since:]}, 30)

    def _since(self, version: int) -> list[tuple[int, str, str, Item]]:
        return [event for event in self._events if event[0] > version]

    def _note(self, kind: str, path: str) -> None:
        self._events.append((self._version, kind, path, json.loads(json.dumps(self._objects[path]))))
        self._changed.notify_all()

    def listed(self, path: str) -> Item:
        with self._changed:
            items = [item for one, item in self._objects.items() if _within(one, path)]
            return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def patched(self, path: str, change: Item) -> bool:
        with self._changed:
            path = path.removesuffix("/status")
            if path not in self._objects:
                return False
            self._version += 1
            item = merged(self._objects[path], change)
            item["metadata"] = {**item["metadata"], "resourceVersion": str(self._version)}
            self._objects[path] = item
            self._note("MODIFIED", path)
            return True

    def changes(self, path: str, version: int) -> Any:
        """Go through the events of a collection until the server stops, be it for a moment."""
        with self._changed:
            before = self._outages
            self._followed.append(path)
            self._changed.notify_all()
        while True:
            with self._changed:
                self._changed.wait_for(lambda seen=version: self._outages > before or self._since(seen), 5)
                if self._outages > before:
                    return
                found = self._since(version)
            for at, kind, changed, item in found:
                version = at
                if _within(changed, path):
                    yield {"type": kind, "object": item}


def _within(path: str, collection: str) -> bool:
    root, _, kind = collection.rpartition("/")
    return path.startswith(root + "/") and path.rsplit("/", 2)[1] == kind


class _Handler(http.server.BaseHTTPRequestHandler):
    owner: Server

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if "/pods/" in url.path:
            pod = self.owner.pod(url.path)
            self.send_response(200 if pod else 404)
            self.end_headers()
            self.wfile.write(json.dumps(pod or {}).encode())
            return
        self.send_response(200)
        self.end_headers()
        if "watch" not in query:
            self.wfile.write(json.dumps(self.owner.listed(url.path)).encode())
            return
        try:
            for event in self.owner.changes(url.path, int(query["resourceVersion"])):
                self.wfile.write(json.dumps(event).encode() + b"\n")
                self.wfile.flush()
        except OSError:
            return

    def do_PATCH(self) -> None:
        change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = self.owner.patched(self.path, change)
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass

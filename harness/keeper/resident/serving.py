"""Listen on a socket, and answer whoever connects."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

from harness.keeper.resident.connection import Connection
from harness.keeper.resident.healing import Keeper, say


def serve(keeper: Keeper, path: Path, whose: str) -> None:
    """Answer for ever."""
    server = listen(path)
    say(f"keeper {keeper.version} of cluster {whose} listens")
    while True:
        peer, _ = server.accept()
        threading.Thread(target=Connection(keeper, peer).serve, daemon=True).start()


def listen(path: Path) -> socket.socket:
    """Listen on a socket that belongs to whoever owns its folder; it appears only once it answers."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(draft))
    draft.chmod(0o600)
    owner = path.parent.stat()
    with contextlib.suppress(PermissionError):
        os.chown(draft, owner.st_uid, owner.st_gid)
    server.listen(16)
    draft.replace(path)
    return server

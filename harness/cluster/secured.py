"""Speak TLS over a stream that is no socket, and ask something over it."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import Callable
from typing import TypeVar

from harness.cluster.forwarding import Stream

Found = TypeVar("Found")
_BYTES = 65536
_STATUS = re.compile(rb"HTTP/\S+ +([1-9][0-9]{2})\s")


class Secured:
    """One end of TLS over a stream; `host` is whom it asks for, and whom the server must prove to be."""

    def __init__(self, stream: Stream, trust: ssl.SSLContext, host: str) -> None:
        self._stream = stream
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trust.wrap_bio(self._received, self._to_send, server_hostname=host or None)

    def shake(self) -> bytes | None:
        """Shake hands and return the server's certificate; raises OSError, an ssl.SSLError where it is not trusted."""
        self._do(self._tls.do_handshake)
        return self._tls.getpeercert(binary_form=True)

    def status(self, host: str, path: str) -> int:
        """Ask for a path after the handshake and return the status; raises OSError."""
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        self._do(lambda: self._tls.write(request.encode()))
        head = b""
        while b"\r\n" not in head and len(head) < _BYTES:
            more = self._do(lambda: self._tls.read(_BYTES))
            if not more:
                raise ConnectionError("it was closed before it answered")
            head += more
        found = _STATUS.match(head)
        if not found:
            raise ConnectionError("what it answered is no HTTP")
        return int(found[1])

    def _do(self, what: Callable[[], Found]) -> Found:
        while True:
            try:
                found = what()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._stream.recv(_BYTES)
                if not data:
                    raise ConnectionError("it was closed before the handshake was over") from None
                self._received.write(data)
            except ssl.SSLError:
                # The other end is told why, as by any client.
                with contextlib.suppress(OSError):
                    self._flush()
                raise
            else:
                self._flush()
                return found

    def _flush(self) -> None:
        if data := self._to_send.read():
            self._stream.sendall(data)

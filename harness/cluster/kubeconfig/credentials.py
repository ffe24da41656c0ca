"""What a request is signed with right now: files are read again and commands asked again, as client-go does.

A token file is read every 50 s and after a refusal; one that cannot be read any more leaves the last token, and a
certificate and a key that do not belong together the last pair. A command is asked when what it gave has expired, and
after a refusal.
"""

from __future__ import annotations

import base64
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.cluster.kubeconfig import command, tls
from harness.cluster.kubeconfig.access import Access, Headers
from harness.errors import PreconditionFailed

TOKEN_SECONDS = 50.0
CERTIFICATE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Signature:
    """What one request is known by."""

    authorization: str = ""
    certificate: bytes = b""
    key: bytes = b""


def _now() -> datetime:
    return datetime.now(UTC)


class Credentials:
    """The credentials of one access; safe to be used from several threads."""

    def __init__(
        self,
        access: Access,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._access, self._clock, self._now = access, clock, now
        self._one_at_a_time = threading.Lock()
        self._signature: Signature | None = None
        self._until: float | datetime | None = None

    @property
    def headers(self) -> Headers:
        """The headers that ask to be treated as somebody else."""
        return self._access.impersonation.headers if self._access.impersonation else ()

    @property
    def due(self) -> bool:
        """Whether the next signature has to be fetched, which may take its time."""
        if self._signature is None or self._until is None:
            return self._signature is None
        return self._now() > self._until if isinstance(self._until, datetime) else self._clock() > self._until

    def signature(self) -> Signature:
        """Return what to sign the next request with; raises PreconditionFailed where nothing can be had.

        What is held and not due is returned at once, also while somebody else fetches anew after a refusal.
        """
        if self.due:
            with self._one_at_a_time:
                if self.due:
                    self._fetch()
        assert self._signature is not None
        return self._signature

    def refused(self, signature: Signature) -> bool:
        """Fetch anew after a request was refused (401) and say whether there is anything else to sign with.

        Raises PreconditionFailed where nothing can be had.
        """
        with self._one_at_a_time:
            if self._signature == signature:
                self._fetch()
            return self._signature != signature

    def _fetch(self) -> None:
        access = self._access
        if access.command:
            given = command.ask(access.command, access.context)
            self._signature = Signature(self._bearer(given.token), given.certificate, given.key)
            self._until = given.until
            return
        certificate, key = self._certificate()
        authorization = self._bearer(self._token())
        if access.basic:
            authorization = f"Basic {base64.b64encode(':'.join(access.basic).encode()).decode()}"
        self._signature = Signature(authorization, certificate, key)
        wait = TOKEN_SECONDS if access.token_file else CERTIFICATE_SECONDS if access.certificate_files else None
        self._until = None if wait is None else self._clock() + wait

    def _token(self) -> str:
        path = self._access.token_file
        if path is None:
            return self._access.token
        try:
            token = path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            token, why = "", str(error)
        else:
            why = "it is empty"
        held = self._signature.authorization.removeprefix("Bearer ") if self._signature else self._access.token
        if not token and not held:
            raise PreconditionFailed("the token file cannot be used", where=str(path), why=why)
        return token or held

    def _certificate(self) -> tuple[bytes, bytes]:
        files = self._access.certificate_files
        if files is None or self._signature is None:
            return self._access.certificate, self._access.key
        held = self._signature.certificate, self._signature.key
        try:
            found = files[0].read_bytes(), files[1].read_bytes()
            # Of a pair that is being replaced one may be new already and the other not yet.
            if found != held:
                tls.show(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self._access, *found)
        except (OSError, PreconditionFailed):
            return held
        return found

    def _bearer(self, token: str) -> str:
        if not token:
            return ""
        if not token.isascii() or not token.isprintable():
            raise PreconditionFailed(
                f"the token of context {self._access.context!r} has a character that no header can have",
                where=self._access.server,
                hint="a token is one line of letters, digits and dots",
            )
        return f"Bearer {token}"

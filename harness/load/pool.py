"""The connections to each origin: the one used last is used next, so that idle ones stay idle and are dropped."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from harness.load.answer import Garbled
from harness.load.connection import Connection
from harness.load.names import Names
from harness.load.requests import Origin

if TYPE_CHECKING:
    from harness.load.http2 import Http2

AnyConnection: TypeAlias = "Connection | Http2"
# For so long an address may leave a connection unanswered while there is another one to try.
NEXT_SECONDS = 1.0
# For so long others wait for a connection that they could share: what hangs must not hold up those that would not.
SHARED_SECONDS = 1.0


class Pools:
    """The connections of one load; `names` is the server's name in TLS where it is not the host's."""

    def __init__(self, tls: ssl.SSLContext | None, names: Mapping[Origin, str], http: str) -> None:
        self._tls, self._names, self._http = tls, names, http
        self._addresses = Names()
        self._pools: dict[Origin, Pool] = {}

    def of(self, origin: Origin) -> Pool:
        """Return the connections to one origin."""
        pool = self._pools.get(origin)
        if pool is None:
            tls = self._tls if origin.secure else None
            # The dot that ends a whole name is the resolver's; no certificate has it.
            name = self._names.get(origin, origin.host).rstrip(".")
            pool = Pool(origin, tls, name, self._http, self._addresses)
            self._pools[origin] = pool
        return pool

    def close(self) -> None:
        """Drop every connection."""
        for pool in self._pools.values():
            pool.close()


class Pool:
    """The connections to one origin."""

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None, name: str, http: str, addresses: Names) -> None:
        self._origin, self._tls, self._name, self._http, self._addresses = origin, tls, name, http, addresses
        self._all: set[AnyConnection] = set()
        self._idle: list[Connection] = []
        self._shared: list[Http2] = []
        self._one_by_one: asyncio.Lock | None = asyncio.Lock() if http == "2" else None

    async def take(self, *, fresh: bool = False) -> AnyConnection:
        """Return a connection that takes a request, a new one where it must be `fresh`; raises OSError."""
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.usable():
                return connection
            connection.abort()
        if self._one_by_one is None:
            return await self._connect()
        # One connection carries many requests: who comes while it is made waits for it.
        try:
            async with asyncio.timeout(SHARED_SECONDS):
                await self._one_by_one.acquire()
        except TimeoutError:
            return await self._connect()
        try:
            shared = next((one for one in self._shared if one.usable()), None)
            return shared or await self._connect()
        finally:
            self._one_by_one.release()

    def close(self) -> None:
        """Drop every connection."""
        for connection in list(self._all):
            connection.abort()

    async def _connect(self) -> AnyConnection:
        *others, last = await self._addresses.find(self._origin.host)
        for address in others:
            try:
                async with asyncio.timeout(NEXT_SECONDS):
                    return await self._connect_to(address)
            except OSError:
                continue
        return await self._connect_to(last)

    async def _connect_to(self, address: str) -> AnyConnection:
        made: list[AnyConnection] = []

        def protocol() -> asyncio.Protocol:
            if self._tls is not None:
                return _Greeting(self, made)
            made.append(self.speak("h2" if self._http == "2" else None))
            return made[0]

        server = self._name if self._tls else None
        loop = asyncio.get_running_loop()
        await loop.create_connection(protocol, address, self._origin.port, ssl=self._tls, server_hostname=server)
        (connection,) = made
        if self._http == "2" and isinstance(connection, Connection):
            connection.abort()
            raise Garbled("no HTTP/2", "the server did not agree to it")
        return connection

    def speak(self, protocol: str | None) -> AnyConnection:
        """Make what speaks the protocol that both sides settled on."""
        if protocol == "h2":
            # Here, so that a load that speaks HTTP/1.1 does without a tenth of a second of imports.
            from harness.load.http2 import Http2

            self._one_by_one = self._one_by_one or asyncio.Lock()
            shared = Http2(self._forget)
            self._shared.append(shared)
            self._all.add(shared)
            return shared
        connection = Connection(self._idle.append, self._forget)
        self._all.add(connection)
        return connection

    def _forget(self, connection: AnyConnection) -> None:
        self._all.discard(connection)
        if isinstance(connection, Connection):
            if connection in self._idle:
                self._idle.remove(connection)
        elif connection in self._shared:
            self._shared.remove(connection)


class _Greeting(asyncio.Protocol):
    """Asks what both sides settled on, and leaves the connection to what speaks it."""

    def __init__(self, pool: Pool, made: list[AnyConnection]) -> None:
        self._pool, self._made = pool, made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        connection = self._pool.speak(transport.get_extra_info("ssl_object").selected_alpn_protocol())
        self._made.append(connection)
        transport.set_protocol(connection)
        connection.connection_made(transport)

"""What every service has: health endpoints, request ids, metrics, and an end that loses no request."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from claude_services import exposition, metrics
from claude_services.flaw import Flaw
from claude_services.recording import Recorder, declared
from claude_services.room import HEALTH, Room
from claude_services.settings import Settings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Check = Callable[[], Awaitable[str]]


class JsonLines(logging.Formatter):
    """Write one JSON object per record."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._who = {"service": settings.name, "pod": settings.pod}

    def format(self, record: logging.LogRecord) -> str:
        extra = getattr(record, "data", {})
        line = {"time": round(record.created, 3), "level": record.levelname.lower(), **self._who, **extra}
        line["message"] = record.getMessage()
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Instrument:
    """Count and time each request, and carry its id, its server's name and its breaker header out."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._name, self._pod = app, settings.name, settings.pod.encode()
        self._in_flight = metrics.IN_FLIGHT.labels(self._name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(HEALTH):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = request_id or str(uuid.uuid4()).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode("latin-1")
        code = 500

        async def answer(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                message["headers"] = [*message["headers"], (b"x-served-by", self._pod), (b"x-request-id", request_id)]
            await send(message)

        self._in_flight.inc()
        try:
            await self._app(scope, receive, answer)
        finally:
            path = getattr(scope.get("route"), "path", "unknown")
            self._in_flight.dec()
            metrics.REQUESTS.labels(self._name, path, str(code)).inc()
            metrics.LATENCY.labels(self._name, path).observe(time.perf_counter() - started)


class Service:
    """One process: its application, its health and its way to stop."""

    def __init__(
        self,
        settings: Settings,
        *,
        lifespan: Lifespan | None = None,
        ready: Check | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.settings = settings
        self._recorder = recorder
        self.draining = False
        self._ready = ready
        self.app = FastAPI(title=settings.name, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
        if settings.fail_share or settings.delay_seconds:
            self.app.add_middleware(Flaw, fail_share=settings.fail_share, delay_seconds=settings.delay_seconds)
        self.app.add_middleware(Instrument, settings=settings)
        # The one added last is asked first.
        self.app.add_middleware(Room, limit=settings.max_in_flight, pod=settings.pod, refused=self._refused)
        self.app.add_api_route("/health/live", self._live)
        self.app.add_api_route("/health/ready", self._answer_ready)

    def _refused(self) -> None:
        received(self.settings.name)
        metrics.REFUSED.labels(self.settings.name).inc()
        metrics.REQUESTS.labels(self.settings.name, "refused", "503").inc()

    def _told(self, since: float) -> dict[str, Any]:
        assert self._recorder is not None
        return {"caller": self.settings.pod, "declared": declared(self.settings), **self._recorder.told(since)}

    async def _live(self) -> dict[str, str]:
        return {"status": "alive"}

    async def _answer_ready(self, response: Response) -> dict[str, str]:
        why = "draining" if self.draining else await self._ready() if self._ready else ""
        if why:
            response.status_code = 503
        return {"status": why or "ready"}

    def run(self) -> None:
        """Serve until SIGTERM, then refuse readiness, finish what was begun, and end."""
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonLines(self.settings))
        logging.basicConfig(level=self.settings.log_level.upper(), handlers=[handler], force=True)
        exposition.serve(self.settings.metrics_port, self._told if self._recorder else None)
        config = uvicorn.Config(
            self.app,
            host="0.0.0.0",
            port=self.settings.port,
            access_log=False,
            proxy_headers=False,
            log_config=None,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(self.settings.drain_seconds),
        )
        _Server(config, self).run()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._leaving = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Look at the clock once a second and at once when told to end; the original looks ten times a second."""
        self._loop = asyncio.get_running_loop()
        tenths = 0
        while not await self.on_tick(tenths):
            tenths += 10
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._leaving.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.draining = True
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._leaving.set)


def received(service: str) -> None:
    """Count a request before anything is done for it."""
    metrics.RECEIVED.labels(service).inc()

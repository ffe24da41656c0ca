"""A caller whose rights, or want of them, an experiment is about: it calls when it is asked to, and never else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException

from claude_services.calling import A_SECOND, Caller, targets
from claude_services.json_objects import Json
from claude_services.settings import Settings
from claude_services.web import Service

LONGEST_SECONDS = 60


def build(settings: Settings) -> Service:
    """Return the caller with the targets that its environment names."""
    caller = Caller(targets(os.environ.get("TARGETS", "")))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with caller.open():
            yield

    service = Service(settings, lifespan=lifespan)

    @service.app.get("/v1/calls/{seconds}")
    async def calls(seconds: int) -> list[Json]:
        if not 0 < seconds <= LONGEST_SECONDS:
            raise HTTPException(400, f"1 to {LONGEST_SECONDS} seconds")
        return await caller.call(seconds * A_SECOND)

    @service.app.get("/v1/let-in/{within}")
    async def let_in(within: int) -> int:
        return caller.let_in(within)

    return service

"""A service answers so many requests at a time, refuses the rest at once, and always says how it is."""

from __future__ import annotations

import asyncio
from typing import Any

from claude_services.room import Message, Receive, Room, Send


class Full:
    """An application that answers only when it is told to."""

    def __init__(self, limit: int) -> None:
        self.go = asyncio.Event()
        self.refused = 0
        self.room = Room(self.answer, limit=limit, pod="one", refused=self.note)

    async def answer(self, scope: Message, receive: Receive, send: Send) -> None:
        await self.go.wait()
        if scope["path"] == "/v1/breaks":
            raise ValueError(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    def note(self) -> None:
        self.refused += 1

    def ask(self, path: str = "/v1/agents") -> asyncio.Task[dict[str, Any]]:
        return asyncio.ensure_future(self._ask(path))

    async def _ask(self, path: str) -> dict[str, Any]:
        said: list[Message] = []

        async def send(message: Message) -> None:
            said.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        await self.room({"type": "http", "path": path}, receive, send)
        return dict(said[0])


async def settle(*tasks: asyncio.Task[Any]) -> list[bool]:
    for _ in range(3):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


def test_who_comes_above_the_limit_is_refused_at_once_and_told_so() -> None:
    async def run() -> None:
        full = Full(limit=2)
        tasks = [full.ask() for _ in range(3)]
        assert await settle(*tasks) == [False, False, True]
        headers = dict(tasks[2].result()["headers"])
        assert (tasks[2].result()["status"], full.refused) == (503, 1)
        assert (headers[b"x-overload"], headers[b"retry-after"], headers[b"x-served-by"]) == (b"true", b"1", b"one")
        full.go.set()
        assert [(await task)["status"] for task in tasks] == [200, 200, 503]

    asyncio.run(run())


def test_what_ended_makes_room_however_it_ended() -> None:
    async def run() -> None:
        full = Full(limit=2)
        broken, cut = full.ask("/v1/breaks"), full.ask()
        await settle()
        cut.cancel()
        full.go.set()
        await asyncio.gather(broken, cut, return_exceptions=True)
        assert [(await full.ask())["status"] for _ in range(3)] == [200, 200, 200]

    asyncio.run(run())


def test_a_full_service_still_says_that_it_lives() -> None:
    async def run() -> None:
        full = Full(limit=1)
        inside, health = full.ask(), full.ask("/health/live")
        await settle()
        full.go.set()
        assert [(await inside)["status"], (await health)["status"], full.refused] == [200, 200, 0]

    asyncio.run(run())


def test_no_limit_lets_everybody_in() -> None:
    async def run() -> None:
        full = Full(limit=0)
        tasks = [full.ask() for _ in range(500)]
        assert not any(await settle(*tasks))
        full.go.set()
        assert {(await task)["status"] for task in tasks} == {200}

    asyncio.run(run())

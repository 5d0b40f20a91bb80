"""Shared answers: one computation for all who ask at the same time, and no more held than said."""

from __future__ import annotations

import asyncio

from carbonstream.api.once import Once


def test_all_who_ask_at_the_same_time_share_one_computation_and_the_oldest_are_let_go() -> None:
    asked: list[str] = []

    async def answer(key: str) -> str:
        asked.append(key)
        await asyncio.sleep(0)
        return key

    async def ask() -> None:
        shared = Once(3_600, most=2)
        assert (
            await asyncio.gather(*(shared.get("a", lambda: answer("a")) for _ in range(100))) == ["a"] * 100
        )
        await shared.get("b", lambda: answer("b"))
        await shared.get("a", lambda: answer("a"))
        assert asked == ["a", "b"]
        await shared.get("c", lambda: answer("c"))  # a third: those that are there are let go
        await shared.get("a", lambda: answer("a"))
        assert asked == ["a", "b", "c", "a"]

    asyncio.run(ask())


def test_where_nothing_is_kept_an_answer_is_shared_while_it_is_computed_and_never_after() -> None:
    computed: list[int] = []

    async def answer() -> int:
        computed.append(len(computed))
        await asyncio.sleep(0)
        return computed[-1]

    async def ask() -> None:
        running = Once(0.0)
        assert await asyncio.gather(*(running.get("a", answer) for _ in range(3))) == [0, 0, 0]
        assert await running.get("a", answer) == 1

    asyncio.run(ask())

"""What a test left behind: connections and transactions, keys that live for ever, tasks."""

import asyncio
from collections.abc import Iterable

from redis.asyncio import Redis

from shared.testing.engines import Held

FOR_EVER = -1
"""Redis's answer where a key has no time to live."""


class Leaked(AssertionError):  # noqa: N818
    """Something was left behind; the text says what, and where it was taken."""


def check_connections(held: Held) -> None:
    """Raises `Leaked` where a connection, and so perhaps a transaction, was not returned."""
    if held:
        places = "\n  ".join(held.values())
        raise Leaked(
            f"{len(held)} connections were not returned, each with its transaction; they were taken at\n  {places}"
        )


async def check_keys(redis: Redis) -> None:
    """Raises `Leaked` where a key has no time to live."""
    keys = [key async for key in redis.scan_iter(count=1000)]
    for_ever = [key.decode(errors="replace") for key in keys if await redis.ttl(key) == FOR_EVER]
    if for_ever:
        raise Leaked(f"keys without a time to live: {', '.join(sorted(for_ever))}")


def running_tasks() -> set["asyncio.Task[object]"]:
    return {task for task in asyncio.all_tasks() if not task.done()} - {asyncio.current_task()}


async def check_tasks(before: Iterable["asyncio.Task[object]"]) -> None:
    """Raises `Leaked`, and cancels them, where tasks run that did not run `before`."""
    await asyncio.sleep(0)  # what has ended needs one turn of the loop to be done
    left = running_tasks() - set(before)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    if left:
        raise Leaked(f"tasks still run: {', '.join(sorted(f'{t.get_name()} ({t.get_coro()!r})' for t in left))}")

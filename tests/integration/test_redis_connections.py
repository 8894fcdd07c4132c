"""Connections to Redis: one that was closed is opened again, and what we pack comes out whole."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvloop
from redis.asyncio import Redis

from shared.redis import REDIS_FAULTS, open_redis

LARGE = 8 * 1024 * 1024


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url, connections=1)
    yield client
    await client.aclose(close_connection_pool=True)


async def test_one_that_the_server_closed_is_opened_again(redis: Redis, redis_url: str) -> None:
    other = open_redis(redis_url, connections=1)
    for wait_s in (0, 0.05):
        number = await redis.client_id()
        await other.client_kill_filter(_id=str(number))
        await asyncio.sleep(wait_s)
        assert await redis.echo("here") == b"here"
        assert await redis.client_id() != number
    await other.aclose(close_connection_pool=True)


async def test_what_the_socket_cannot_take_at_once_goes_out_in_order(redis: Redis) -> None:
    large = b"x" * LARGE
    answers = await asyncio.gather(*(redis.echo(large + b"%d" % n) for n in range(3)))
    assert [answer[LARGE:] for answer in answers] == [b"0", b"1", b"2"]
    async with redis.pipeline(transaction=True) as pipe:
        for n in range(3):
            pipe.echo(large + b"%d" % n)
        assert [answer[LARGE:] for answer in await pipe.execute()] == [b"0", b"1", b"2"]


def test_one_that_closes_under_a_command_is_opened_again_on_uvloop_too(redis_url: str) -> None:
    async def scenario() -> None:
        client = open_redis(redis_url, connections=1)
        await client.ping()
        connection = await client.connection_pool.get_connection()
        connection._writer.transport.abort()
        with pytest.raises(REDIS_FAULTS):
            await connection.send_command("PING")
        await client.connection_pool.release(connection)
        assert await client.ping()
        await client.aclose(close_connection_pool=True)

    uvloop.run(scenario())

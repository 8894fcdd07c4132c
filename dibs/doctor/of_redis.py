"""Redis: does it answer, does it keep what it confirms, and does it never throw anything away."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from dibs.doctor.findings import Finding, fail, ok, warn
from shared.redis import REDIS_FAULTS

PATIENCE_S = 5.0
OLDEST = (6, 2)
"""The oldest Redis on which dibs is known to work."""
NEARLY_FULL = 0.8

KEEP = "set appendonly yes and appendfsync always: a 202 is sent when Redis has confirmed the write"


@dataclass
class Examined:
    """What was found, and whether the server can be asked more."""

    answers: bool
    findings: list[Finding] = field(default_factory=list)


async def examine(redis: Redis, name: str, *, is_embedded: bool) -> Examined:
    try:
        async with asyncio.timeout(PATIENCE_S):
            info: dict[str, Any] = await redis.info()
            config = await _config(redis)
    except REDIS_FAULTS as error:
        told = f"{name} does not answer: {str(error) or type(error).__name__}"
        mend = "start `dibs serve`" if is_embedded else "start it, or correct DIBS_REDIS_URL"
        return Examined(False, [fail("redis", told, mend)])
    return Examined(True, [_of_server(info, name), _of_disk(info, config), _of_memory(info)])


async def _config(redis: Redis) -> dict[str, str] | None:
    """How it keeps its data; None where it does not say, as many managed ones do not."""
    try:
        return dict(await redis.config_get("append*"))
    except ResponseError:
        return None


def _of_server(info: dict[str, Any], name: str) -> Finding:
    version = str(info.get("valkey_version") or info.get("redis_version") or "")
    seen = f"{name} answers, version {version}"
    if info.get("role") == "slave":
        return fail("redis", f"{seen}, but it is a replica", "let DIBS_REDIS_URL name the primary")
    if info.get("cluster_enabled"):
        return fail("redis", f"{seen}, but it is a cluster", "give dibs a single Redis: its scripts touch many keys")
    number = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if number and number < OLDEST:
        return warn("redis", seen, f"dibs is known to work from {OLDEST[0]}.{OLDEST[1]} on")
    return ok("redis", seen)


def _of_disk(info: dict[str, Any], config: dict[str, str] | None) -> Finding:
    about = "durability"
    if info.get("aof_enabled") != 1:
        return fail(about, "appendonly is off: what was accepted and not done is lost with the process", KEEP)
    if "err" in {info.get("aof_last_write_status"), info.get("aof_last_bgrewrite_status")}:
        return fail(about, "Redis could not write its append-only file", "look at its log and its disk")
    if config is None:
        return warn(about, "appendonly is on; CONFIG is refused, so appendfsync cannot be seen", KEEP)
    fsync = config.get("appendfsync")
    if fsync != "always":
        lost = "the last second of what was accepted" if fsync == "everysec" else "some of what was accepted"
        return warn(about, f"appendfsync is {fsync}: a power cut may lose {lost}", KEEP)
    return ok(about, "appendonly yes, appendfsync always")


def _of_memory(info: dict[str, Any]) -> Finding:
    about = "memory"
    policy, limit, used = str(info.get("maxmemory_policy")), int(info.get("maxmemory", 0)), int(info["used_memory"])
    seen = f"{used >> 20:,} MiB used of {f'{limit >> 20:,} MiB' if limit else 'no limit'}, maxmemory-policy {policy}"
    if policy != "noeviction":
        mend = "set maxmemory-policy noeviction: any other may throw away jobs that were accepted"
        return fail(about, seen, mend) if limit else warn(about, seen, mend)
    if limit and used > NEARLY_FULL * limit:
        return warn(about, seen, "raise maxmemory, or lower DIBS_QUEUE_LIMIT: a full Redis takes nothing in")
    return ok(about, seen)

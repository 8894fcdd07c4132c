"""What must be true when all is quiet."""

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from shared.queue import KEEP_TICKET, Queue
from tests.benchmarks.servers import plain
from tests.chaos.ledger import Ledger

if TYPE_CHECKING:
    from redis.asyncio import Redis

RECEIPTS = "SELECT id, status, result, choice, content, tries, error, submitted_at, finished_at FROM receipts"
ROWS = "SELECT id, name FROM animals"


async def examine(
    ledger: Ledger, database_url: str, queue: Queue
) -> tuple[dict[str, int], dict[UUID, tuple[float, float]]]:
    """Write every broken promise into `ledger`; returns what was counted, and when each job came and ended."""
    sql = await asyncpg.connect(plain(database_url))
    try:
        receipts = {record["id"]: _read(record) for record in await sql.fetch(RECEIPTS)}
        rows = {record["id"]: record["name"] for record in await sql.fetch(ROWS)}
    finally:
        await sql.close()
    _each_job_has_its_receipt(ledger, receipts)
    _each_row_has_its_receipt(ledger, receipts, rows)
    _who_went_empty_handed_had_reason(ledger, receipts, set(rows.values()))
    _what_was_told_is_so(ledger, receipts)
    left = await _nothing_is_left(ledger, queue)
    statuses = Counter(str(receipt["status"]) for receipt in receipts.values())
    counted = {
        "acknowledged adds": len(ledger.acknowledged),
        "of them with exactly one receipt": sum(job in receipts for job in ledger.acknowledged),
        **{f"receipts: {status}": number for status, number in sorted(statuses.items())},
        "rows": len(rows),
        "receipts with more than one try": sum(receipt["tries"] > 1 for receipt in receipts.values()),
        "outcomes that callers saw": len(ledger.outcomes),
        "keys left in Redis beside bulks and tallies": left,
    }
    return counted, {
        job: (_s(receipt["submitted_at"]), _s(receipt["finished_at"])) for job, receipt in receipts.items()
    }


def _s(moment: datetime) -> float:
    return moment.timestamp()


def _read(record: "asyncpg.Record[Any]") -> dict[str, Any]:
    parsed = {name: json.loads(record[name]) if record[name] else None for name in ("result", "content", "error")}
    return {**dict(record), **parsed}


def _each_job_has_its_receipt(ledger: Ledger, receipts: dict[UUID, dict[str, Any]]) -> None:
    """The primary key sees to it that there are no two."""
    for job, names in ledger.acknowledged.items():
        receipt = receipts.get(job)
        if receipt is None:
            ledger.violated("an acknowledged add has a receipt", job, "it has none")
        elif receipt["status"] == "failed" and names is not None:
            ledger.violated("an add without fault does not fail", job, str(receipt["error"]))
        elif names is None and receipt["status"] != "failed":
            ledger.violated("a line that is no add fails", job, receipt["status"])


def _each_row_has_its_receipt(ledger: Ledger, receipts: dict[UUID, dict[str, Any]], rows: dict[int, str]) -> None:
    owners: dict[int, UUID] = {}
    for job, receipt in receipts.items():
        if receipt["status"] != "succeeded":
            continue
        row = receipt["result"]
        if rows.get(row["id"]) != row["name"]:
            ledger.violated("a succeeded receipt has its row", job, f"{row} is not there")
        if (other := owners.setdefault(row["id"], job)) != job:
            ledger.violated("a row has one receipt", job, f"{row} is of {other} too")
        if receipt["content"]["candidates"][receipt["choice"]]["name"] != row["name"]:
            ledger.violated("the row is the candidate that was chosen", job, str(receipt))
    for row_id in rows.keys() - owners.keys():
        ledger.violated("a row has a receipt", "none", f"{row_id} {rows[row_id]}")


def _who_went_empty_handed_had_reason(ledger: Ledger, receipts: dict[UUID, dict[str, Any]], names: set[str]) -> None:
    for job, receipt in receipts.items():
        if receipt["status"] == "exhausted":
            free = [one["name"] for one in receipt["content"]["candidates"] if one["name"] not in names]
            if free:
                ledger.violated("an exhausted job found all its candidates taken", job, f"{free} are free")


def _what_was_told_is_so(ledger: Ledger, receipts: dict[UUID, dict[str, Any]]) -> None:
    for job, told in ledger.outcomes.items():
        receipt = receipts.get(job)
        stands = receipt and (receipt["status"], receipt["result"], receipt["choice"])
        if stands != told:
            ledger.violated("what a caller was told is so", job, f"told {told}, and the receipt says {stands}")


async def _nothing_is_left(ledger: Ledger, queue: Queue) -> int:
    """Every key ends by itself, and only those are there that still have a purpose."""
    redis: Redis = queue.redis
    lasting = (f"{queue.name}:bulk:", f"{queue.name}:minute:", f"{queue.name}:workers", f"{queue.name}:idle")
    longest_ms = int(KEEP_TICKET.total_seconds() * 1000)
    left = 0
    async for raw in redis.scan_iter(count=1000):
        key, ttl_ms = raw.decode(), int(await redis.pttl(raw))
        if not 0 < ttl_ms <= longest_ms and ttl_ms != -2:
            ledger.violated("every key ends by itself", key, f"in {ttl_ms} ms")
        if not key.startswith(lasting):
            left += 1
            ledger.violated("no key outlives its purpose", key, "it is still there")
    return left

"""The tally of what ended: quantiles that are off by no more than their bucket, and minutes that are kept apart."""

from datetime import UTC, datetime, timedelta

import fakeredis
import pytest

from shared import tally
from shared.clock import utc_now
from shared.contract import Status
from shared.receipts import Receipt
from shared.tally import Minute, bucket_of, upper_ms
from tests.build import ANIMALS, make_fake_redis, make_job


@pytest.mark.parametrize("took_ms", [0.0, 0.4, 1.0, 3.7, 8.0, 19.0, 1000.0, 86_400_000.0])
def test_a_bucket_reaches_at_most_a_fifth_too_far(took_ms: float) -> None:
    reached = upper_ms(bucket_of(took_ms))
    assert max(took_ms, 1.0) <= reached * 1.0001
    assert reached <= max(took_ms, 1.0) * 1.2


def test_quantiles() -> None:
    minute = Minute(
        datetime(2026, 1, 1, tzinfo=UTC),
        {Status.SUCCEEDED: 100},
        {bucket_of(8): 98, bucket_of(64): 1, bucket_of(512): 1},
    )
    assert minute.quantile_ms(0.5) == pytest.approx(8)
    assert minute.quantile_ms(0.99) == pytest.approx(64)
    assert minute.quantile_ms(1.0) == pytest.approx(512)
    assert Minute(minute.at).quantile_ms(0.5) is None


def receipt(status: str, finished_at: datetime, took_s: float) -> Receipt:
    made = Receipt.exhausted(make_job(ANIMALS, ["Max"]), "animals", tries=1)
    fields = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return Receipt(
        **fields
        | {
            "status": Status(status),
            "finished_at": finished_at,
            "submitted_at": finished_at - timedelta(seconds=took_s),
        }
    )


async def test_each_minute_counts_its_own_and_an_hour_is_kept() -> None:
    redis, now = make_fake_redis(), utc_now()
    earlier = now - timedelta(minutes=59)
    long_ago = now - timedelta(minutes=61)
    ended = [receipt("succeeded", now, 0.008), receipt("succeeded", now, 0.008), receipt("failed", now, 2.0)]
    async with redis.pipeline() as pipe:
        tally.count(pipe, "q", [*ended, receipt("cancelled", earlier, 1.0), receipt("failed", long_ago, 1.0)])
        await pipe.execute()

    minutes = await tally.last_hour(redis, "q")

    assert len(minutes) == 60
    assert minutes[-1].counts == {Status.SUCCEEDED: 2, Status.FAILED: 1}
    assert minutes[-1].quantile_ms(0.5) == pytest.approx(8, rel=0.2)
    assert minutes[-1].at <= now < minutes[-1].at + timedelta(minutes=1)
    assert minutes[0].counts == {Status.CANCELLED: 1}
    assert sum(minute.ended for minute in minutes) == 4
    assert all([0 < await redis.ttl(key) <= tally.KEEP_S for key in await redis.keys("q:minute:*")])


def test_a_claim_of_equals_costs_what_a_lone_job_costs() -> None:
    pipe = fakeredis.FakeAsyncRedis().pipeline()
    now = utc_now()
    tally.count(pipe, "q", [receipt("succeeded", now, 0.01) for _ in range(500)])
    assert len(pipe.command_stack) == 2

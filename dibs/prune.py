"""`dibs prune`: remove old receipts, and say what that means."""

import json
import re
import sys
import time
from dataclasses import dataclass
from datetime import timedelta

from dibs.errors import StartError
from dibs.logs import name_of
from shared.clock import utc_now
from shared.contract import OUTCOMES, Status
from shared.database import Database, open_database
from shared.faults import sort_fault
from shared.migrate import is_current
from shared.pruning import SAFE_AGE, Meant
from shared.settings import Settings

TELL_EVERY_S = 2.0

MEANING = (
    "a pruned job is forgotten: GET /jobs/{id} is a 404, and its Idempotency-Key is a new add, "
    "which may insert a second row"
)
TOO_YOUNG = (
    f"the queue may hold a job for up to {SAFE_AGE.days} days, and one that is handed out again after its receipt "
    "went would run twice: take an age of {days}d or more, or --force if the queue is known to hold none of them"
)

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class Wish:
    """What the command was asked for."""

    older_than: timedelta
    collection: str | None
    status: Status | None
    dry_run: bool
    batch: int
    pause_s: float
    as_json: bool


def read_age(text: str) -> timedelta:
    """`90d`, `12w` or `36h`; raises `ValueError`."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([hdw])", text.strip())
    if found is None:
        raise ValueError("must be a number of hours, days or weeks, such as 36h, 90d or 12w")
    return int(found[1]) * UNITS[found[2]]


def read_status(text: str | None) -> Status | None:
    """The outcome that `text` names; raises `ValueError`."""
    if text is None:
        return None
    if text not in OUTCOMES:
        raise ValueError(f"--status must be one of {', '.join(sorted(OUTCOMES))}")
    return Status(text)


def check_age(older_than: timedelta) -> None:
    """Raises `ValueError` for an age at which the queue may still know the jobs."""
    if older_than < SAFE_AGE:
        raise ValueError(TOO_YOUNG.format(days=SAFE_AGE.days))


async def prune(settings: Settings, wish: Wish) -> None:
    """Prune as wished and tell about it, on stderr as it goes on; raises `StartError`."""
    url = settings.database_url or settings.embedded_database_url
    if settings.database_url is None and not settings.data_dir.exists():
        raise StartError(f"there is no database: DIBS_DATABASE_URL is not set and {settings.data_dir} does not exist")
    database = open_database(url, pool_size=1)
    report = _Report(wish)
    try:
        await _prune(database, wish, report, name_of(url))
    except StartError:
        raise
    except Exception as error:
        fault = sort_fault(error)
        raise StartError(f"{name_of(url)}: {fault.code}: {fault.detail}; {report.so_far}") from error
    finally:
        report.close()
        await database.close()


async def _prune(database: Database, wish: Wish, report: "_Report", name: str) -> None:
    if not await is_current(database.reader):
        raise StartError(f"{name} lacks tables or columns that this dibs needs: run `dibs migrate` first")
    meant = Meant(utc_now() - wish.older_than, wish.collection, wish.status)
    report.begin(await meant.count(database))
    if not wish.dry_run:
        async for gone in meant.prune(database, batch=wish.batch, pause_s=wish.pause_s):
            report.step(gone)
    report.complete = True


class _Report:
    """What is told: progress and meaning on stderr, and at the end one line or JSON on stdout, however it ended."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._meant: int | None = None
        self._removed = 0
        self._begun = self._told = time.monotonic()
        self.complete = False

    @property
    def so_far(self) -> str:
        return f"{self._removed} receipts were removed so far; run it again to go on"

    def begin(self, meant: int) -> None:
        self._meant = meant
        _say(f"{meant} receipts are meant; {MEANING}")

    def step(self, gone: int) -> None:
        self._removed += gone
        if time.monotonic() - self._told > TELL_EVERY_S:
            self._told = time.monotonic()
            _say(f"{self._removed} of {self._meant} removed")

    def close(self) -> None:
        if self._meant is None:
            return
        seconds = round(time.monotonic() - self._begun, 2)
        if self._wish.as_json:
            told = {
                "meant": self._meant, "removed": self._removed, "dry_run": self._wish.dry_run,
                "complete": self.complete, "seconds": seconds,
            }  # fmt: skip
            line = json.dumps(told)
        elif self._wish.dry_run:
            line = f"{self._meant} receipts would be removed"
        elif self.complete:
            line = f"{self._removed} receipts removed in {seconds} s"
        else:
            line = self.so_far
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def _say(line: str) -> None:
    sys.stderr.write(f"dibs: {line}\n")
    sys.stderr.flush()

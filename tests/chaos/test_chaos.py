"""A short run of the chaos, and of the overload; for the long ones there is `make chaos`.

They take the whole machine, so they are left out unless they are asked for: `pytest -m chaos`.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.chaos.overload import overload
from tests.chaos.processes import ROOT
from tests.chaos.schedule import KILLS, OTHERS, make_schedule
from tests.services import postgres_programs, redis_program

SHORT = ("--seed", "1", "--adds", "1200", "--kills", "8")


def test_a_seed_is_a_schedule() -> None:
    assert make_schedule(7, 40) == make_schedule(7, 40)
    assert make_schedule(7, 40) != make_schedule(8, 40)


@pytest.mark.parametrize("kills", [8, 20, 200])
def test_a_schedule_has_as_many_kills_as_were_asked_for_and_some_of_everything(kills: int) -> None:
    kinds = [blow.kind for blow in make_schedule(1, kills)]
    assert sum(kind in KILLS for kind in kinds) == kills
    assert set(kinds) == {*KILLS, *OTHERS}


@pytest.mark.chaos
@pytest.mark.timeout(90)
def test_a_short_run_breaks_no_promise(tmp_path: Path) -> None:
    postgres_programs(), redis_program()
    raw = tmp_path / "raw.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *SHORT, "--json", str(raw)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = orjson.loads(raw.read_bytes())
    assert result["counted"]["of them with exactly one receipt"] == 1200
    assert result["violations"] == []


@pytest.mark.chaos
@pytest.mark.timeout(90)
async def test_twice_the_load_is_refused_in_part_and_what_was_accepted_is_done(tmp_path: Path) -> None:
    postgres_programs(), redis_program()
    load = await overload(5, 2, 5000, tmp_path, measure_adds=2000)
    assert load.accepted > 0
    assert load.lost == 0
    assert max(load.api_mb[1], load.worker_mb[1]) < 400

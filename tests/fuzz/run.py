"""One run of schemathesis against a server that answers, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")


@dataclass(frozen=True)
class Fuzzed:
    """What came of it: how many requests were made, on how many operations, and all that was said."""

    exit_code: int
    cases: int
    operations: int
    said: str


def fuzz(
    url: str,
    directory: Path,
    *,
    examples: int,
    phases: str = "examples,coverage,fuzzing,stateful",
    is_random: bool = True,
    key: str = "",
    headers: Mapping[str, str] | None = None,
    expected_statuses: tuple[int, ...] = (),
    without: tuple[str, ...] = (),
    schema: Path | None = None,
    timeout_s: float = 900,
) -> Fuzzed:
    """Fuzz every operation at `url` with every check on, `examples` times each.

    With an API `key` it goes with every request that is to be let in, and is left out where that is tried.
    Unless `is_random` it is the same run each time, as long as schema and answers are.
    `schema` is read in place of the server's own. Checks in `without` are left out. `headers` go with every request;
    with `expected_statuses` every answer must be one of them, but those on what is for everybody.
    """
    config = directory / "schemathesis.toml"
    config.write_text(CONFIG.read_text() + (f'\n[auth.openapi.key]\nbearer = "{key}"\n' if key else ""))
    report = directory / "report.json"
    options = [option for name, value in (headers or {}).items() for option in ("-H", f"{name}: {value}")]
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run",
            str(schema or f"{url}/openapi.json"), f"--url={url}", f"--max-examples={examples}", f"--phases={phases}",
            "--no-color",
            f"--report-json-path={report}", *options,
            "--generation-database=none" if is_random else "--generation-deterministic",
            *([f"--exclude-checks={','.join(without)}"] if without else []),
        ],
        env={**os.environ, "FUZZ_EXPECTED_STATUSES": ",".join(map(str, expected_statuses))},
        cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    told: dict[str, Any] = orjson.loads(report.read_bytes()) if report.exists() else {}
    cases, operations = told.get("test_cases", {}), told.get("operations", {})
    return Fuzzed(done.returncode, cases.get("generated", 0), operations.get("tested", 0), done.stdout + done.stderr)

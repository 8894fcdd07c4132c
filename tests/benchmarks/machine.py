"""What machine this is and what runs on it, for whoever compares numbers; no names of hosts, no paths."""

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.contenders import RIVALS_PYTHON

OURS = ("arq", "asyncpg", "fastapi", "redis", "sqlalchemy", "uvicorn", "uvloop")
RIVALS = ("saq", "taskiq", "taskiq-redis", "streaq", "procrastinate", "pydocket", "redis", "asyncpg", "sqlalchemy")

ASK = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


def describe(servers: dict[str, str]) -> dict[str, str]:
    return {
        "processor": processor(),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": system(),
        "Python": platform.python_version(),
        **{name: f"{number}, {SETTINGS[name]}" for name, number in servers.items()},
        "packages of dibs and arq": ", ".join(f"{name} {_version(name)}" for name in OURS),
        "packages of the other rivals": _rivals() or "not installed",
    }


def processor() -> str:
    return f"{_cpu_model()}, {os.cpu_count()} cores"


def system() -> str:
    return f"{platform.system()} {platform.release().split('-')[0]}, {platform.machine()}"


SETTINGS = {
    "PostgreSQL": "as a fresh cluster has it: fsync, synchronous_commit and full_page_writes on; "
    "track_commit_timestamp on for the measuring",
    "Redis": "appendonly yes; appendfsync always for dibs, and Redis's own default of everysec for the rivals",
}


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _rivals() -> str | None:
    if not RIVALS_PYTHON.exists():
        return None
    asked = subprocess.run([RIVALS_PYTHON, "-c", ASK, *RIVALS], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        return None
    return ", ".join(f"{name} {number}" for name, number in json.loads(asked.stdout).items())

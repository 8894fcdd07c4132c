"""What docs/how-to/deploy.md says of docker-compose.yml and of its units: held where neither runs."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dibs.signals import CLOSING_S
from shared.settings import Settings
from tests.docs.blocks import ROOT, blocks_of

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
SCALE_OUT = (ROOT / "docs" / "how-to" / "scale-out.md").read_text()
FILES = {block.options["file"]: block.text for block in blocks_of(PAGE) if "file" in block.options}
UNITS = [name for name in FILES if name.endswith(".service")]
OF_DIBS = {"migrate", "api", "worker"}

_DEFAULTS = Settings.model_fields
LONGEST_STOP_S = _DEFAULTS["grace_s"].default + _DEFAULTS["drain_s"].default + CLOSING_S
"""After which a process of dibs ends itself, by the defaults."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_the_page_tells_of_every_service(compose: dict[str, Any]) -> None:
    services = compose["services"]
    told = re.findall(r"^\| `(\w+)` \| .+ \| (.*?) ?\|$", PAGE.partition("## With systemd")[0], re.MULTILINE)
    assert [name for name, _ in told] == list(services)
    assert {name for name, healthy in told if healthy} == {name for name in services if "healthcheck" in services[name]}


def test_the_page_tells_which_versions(compose: dict[str, Any]) -> None:
    for name, called in (("postgres", "PostgreSQL"), ("redis", "Redis")):
        version = compose["services"][name]["image"].removeprefix(f"{name}:")
        assert re.search(rf"^\| `{name}` \| {called} {version}[ ,]", PAGE, re.MULTILINE)


def test_the_checks_look_where_the_services_answer(compose: dict[str, Any]) -> None:
    api, worker = compose["services"]["api"], compose["services"]["worker"]
    assert "http://127.0.0.1:8000/health/ready" in api["healthcheck"]["test"][-1]
    assert api["ports"][0].endswith(":8000")
    port = worker["environment"]["DIBS_METRICS_PORT"]
    assert f"http://127.0.0.1:{port}/metrics" in worker["healthcheck"]["test"][-1]
    for service in compose["services"].values():
        for name, wanted in service.get("depends_on", {}).items():
            assert wanted["condition"] != "service_healthy" or "healthcheck" in compose["services"][name]


def test_the_services_of_dibs_have_settings_that_are_some(
    compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OF_DIBS:
        service = compose["services"][name]
        assert service["command"] == [name]
        for variable, value in service["environment"].items():
            assert variable.removeprefix("DIBS_").lower() in Settings.model_fields
            monkeypatch.setenv(variable, re.sub(r"\$\{\w+(:-(\w+)|:\?[^}]*)\}", r"\2", str(value)))
    assert Settings.load().need("redis_url").startswith("redis://redis:")


def test_only_the_api_is_published_and_to_this_machine(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8000:8000"]}


def test_no_password_has_a_default(compose: dict[str, Any]) -> None:
    """`:?` stops compose where the variable is not set, `:-` would put a default in."""
    environments = [service.get("environment", {}) for service in compose["services"].values()]
    passwords = [value for one in environments for value in one.values() if "PASSWORD" in str(value)]
    assert passwords
    for value in passwords:
        assert re.findall(r"\$\{[^}]*PASSWORD[^}]*\}", value) == [
            "${POSTGRES_PASSWORD:?choose a password for PostgreSQL}"
        ]


def test_redis_keeps_what_it_confirms(compose: dict[str, Any]) -> None:
    command = compose["services"]["redis"]["command"]
    options = {name.removeprefix("--"): value for name, value in zip(command[1::2], command[2::2], strict=True)}
    needed = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    assert needed.items() <= options.items()
    [told] = [block.text for block in blocks_of(SCALE_OUT) if block.options.get("file") == "redis.conf"]
    assert dict(line.split() for line in told.splitlines()) == needed
    assert compose["services"]["redis"]["volumes"] == ["redis:/data"]
    assert compose["services"]["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]
    assert set(compose["volumes"]) == {"postgres", "redis"}


def test_docker_waits_for_a_stop(compose: dict[str, Any]) -> None:
    for name in OF_DIBS:
        assert int(compose["services"][name]["stop_grace_period"].removesuffix("s")) > LONGEST_STOP_S


def test_own_models_reach_every_service_of_dibs() -> None:
    override = yaml.safe_load(FILES["docker-compose.override.yml"])["services"]
    assert set(override) == OF_DIBS
    [home] = re.findall(r"^WORKDIR (/home/\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for service in override.values():
        assert service["volumes"] == [f"./shop:{home}/shop:ro"]


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_runs_dibs_and_waits_for_its_stop(unit: str) -> None:
    service = _read(FILES[unit])["Service"]
    command = unit.removeprefix("dibs-").removesuffix(".service")
    assert service["ExecStart"] == f"/opt/dibs/.venv/bin/dibs {command}"
    assert service["EnvironmentFile"] == "/etc/dibs.env"
    if service.get("Type") != "oneshot":
        assert float(service["TimeoutStopSec"]) > LONGEST_STOP_S
        assert service["Restart"] == "always"


def test_the_units_are_as_systemd_wants_them(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze found: its own look at the units is left out")
    for unit in UNITS:
        ours = FILES[unit].replace("/opt/dibs/.venv/bin/dibs", sys.executable).replace("/opt/dibs", str(tmp_path))
        (tmp_path / unit).write_text(ours)
    looked = subprocess.run(
        [program, "verify", *(str(tmp_path / unit) for unit in UNITS)], capture_output=True, text=True, check=False
    )
    assert (looked.returncode, [line for line in looked.stderr.splitlines() if str(tmp_path) in line]) == (0, [])


@pytest.mark.parametrize("line", FILES["dibs.env"].splitlines())
def test_the_environment_file_is_read_alike_by_systemd_and_by_a_shell(line: str) -> None:
    assert re.fullmatch(r'DIBS_\w+="[^"$`\\]*"', line)


def _read(unit: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd minds the case
    parser.read_string(unit)
    return parser

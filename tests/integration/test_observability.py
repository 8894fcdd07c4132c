"""The reference, the dashboard and the alert rules against what /metrics really says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from shared.database import Database
from shared.metrics import Metrics
from shared.queue import Queue
from tests.build import COLLECTIONS
from tests.serving import WAIT, ended, serving, working

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD, ALERTS = DOCS / "observability" / "grafana-dashboard.json", DOCS / "observability" / "alerts.yml"

FUNCTIONS = {"rate", "increase", "sum", "max", "min", "by", "absent", "histogram_quantile", "label_values"}


class Told(NamedTuple):
    """A metric as it is scraped, or as the reference tells of it."""

    kind: str
    labels: frozenset[str]
    help: str


@pytest.fixture
async def scraped(sqlite_database: Database, fake_queue: Queue) -> tuple[dict[str, Told], set[str]]:
    """What is told of each metric, and the names of all samples, after each event was seen once."""
    metrics = Metrics(COLLECTIONS)
    async with (
        serving(sqlite_database, fake_queue, metrics=metrics) as client,
        working(sqlite_database, fake_queue, metrics=metrics),
    ):
        job = (await client.post("/add", headers=WAIT)).json()
        await ended(client, job)
        text = (await client.get("/metrics")).text
    told, samples = {}, set()
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        told[name] = Told(family.type, frozenset(labels), family.documentation)
        samples |= {sample.name for sample in family.samples}
    return told, samples


def test_the_reference_says_what_metrics_says(scraped: tuple[dict[str, Told], set[str]]) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", (DOCS / "reference" / "metrics.md").read_text(), re.MULTILINE
    )
    documented = {
        name: Told(kind, frozenset(re.findall(r"`(\w+)`", labels)), text) for name, kind, labels, text in rows
    }
    if not any(name.startswith("process_") for name in scraped[0]):  # only Linux tells them
        documented = {name: told for name, told in documented.items() if not name.startswith("process_")}
    assert documented == scraped[0]


def test_names_follow_the_conventions(scraped: tuple[dict[str, Told], set[str]]) -> None:
    for name, told in scraped[0].items():
        assert name.startswith(("dibs_", "process_"))
        assert name.endswith("_total") == (told.kind == "counter")
        assert told.help.endswith(".")


def expressions() -> Iterator[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query")
    yield from (rule["expr"] for rule in rules())


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load(ALERTS.read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def names_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression names: what stands outside of braces, brackets and by (…)."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", " ", expression)
    found = set(re.findall(r"[a-zA-Z_]\w*", bare)) - FUNCTIONS
    return found - {"job", "collection"} if "label_values" in expression else found


def test_what_is_drawn_and_alerted_on_is_counted(scraped: tuple[dict[str, Told], set[str]]) -> None:
    used = {name for expression in expressions() for name in names_in(expression)}
    assert used <= scraped[1]
    not_shown = {"dibs_wait_seconds", *(name for name in scraped[0] if name.startswith("process_"))}
    for name in scraped[0].keys() - not_shown:
        assert [one for one in used if one.startswith(name)], f"nobody looks at {name}"


def test_labels_that_are_asked_for_exist(scraped: tuple[dict[str, Told], set[str]]) -> None:
    for expression in expressions():
        for name, selectors in re.findall(r"(\w+)\{([^}]*)\}", expression):
            told = scraped[0].get(name) or scraped[0][re.sub(r"_(bucket|sum|count)$", "", name)]
            asked = set(re.findall(r"(\w+)=", selectors)) - {"job", "le"}
            assert asked <= told.labels, expression


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= dashboard.keys()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, f"{panel['title']} lies on another"
        taken |= cells
        assert panel["description"]
        assert [target["refId"] for target in panel["targets"]] == ["A", "B", "C"][: len(panel["targets"])]


def test_alert_rules_are_rules() -> None:
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"Dibs\w+", rule["alert"])
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert {"summary", "description"} == rule["annotations"].keys()
        assert rule["expr"].count("(") == rule["expr"].count(")")
    assert len({rule["alert"] for rule in rules()}) == len(rules())

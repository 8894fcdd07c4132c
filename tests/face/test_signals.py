"""What real processes tell: logs on a terminal and in a file, traces to a collector, a worker's metrics."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families

from tests.face.processes import PATIENCE_S, Running, clean, python_m_dibs, run, serve
from tests.services import free_port

SECRET = "s3same"


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """An OTLP collector: its address, and the spans that it was sent."""
    spans: list[Span] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_traces_go_where_the_standard_variables_say(data_dir: Path) -> None:
    with collector() as (address, spans), serve(data_dir, OTEL_EXPORTER_OTLP_ENDPOINT=address) as running:
        with running.client() as client:
            client.add("Max", wait=10)
        assert running.stop() == 0
    [request] = [span for span in spans if span.name == "POST /add"]
    trace = {span.name for span in spans if span.trace_id == request.trace_id}
    assert {"send animals", "process animals", "INSERT animals", "INSERT receipts", "COMMIT"} <= trace


def test_a_collector_that_is_away_holds_nothing_up(data_dir: Path) -> None:
    with serve(data_dir, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}") as running:
        with running.client() as client:
            assert client.add("Max", wait=10).view.result == {"id": 1, "name": "Max"}
        began_s = time.monotonic()
        assert running.stop() == 0
    assert time.monotonic() - began_s < 6


def test_an_exporter_that_is_not_installed_is_one_line(data_dir: Path) -> None:
    wrong = run("serve", DIBS_DATA_DIR=str(data_dir), OTEL_TRACES_EXPORTER="pigeon")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "dibs: OTEL_TRACES_EXPORTER: no package of an exporter pigeon is installed\n"


def test_a_log_that_goes_to_a_file_is_json(data_dir: Path) -> None:
    with serve(data_dir) as running:
        assert running.stop() == 0
    lines = [json.loads(line) for line in running.log.splitlines()]
    assert {"timestamp", "level", "logger", "message"} <= set.intersection(*map(set, lines))
    assert [line["message"] for line in lines if line["message"].startswith("queue: in memory")]


def test_a_log_can_be_text_in_a_file(data_dir: Path) -> None:
    with serve(data_dir, DIBS_LOG_FORMAT="text") as running:
        assert running.stop() == 0
    assert re.search(r"Z \[warning\s*\] queue: in memory", running.log)
    assert "\x1b" not in running.log


@pytest.mark.parametrize(("form", "is_text"), [("auto", True), ("json", False)])
def test_a_log_on_a_terminal_is_for_people(data_dir: Path, form: str, is_text: bool) -> None:
    shown = shown_on_a_terminal(DIBS_DATA_DIR=str(data_dir), DIBS_LOG_FORMAT=form)
    [line] = [line for line in shown.splitlines() if "queue: in memory" in line]
    if is_text:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        assert line != plain, "in colours"
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[warning\s*\] queue: in memory", plain)
    else:
        assert json.loads(line)["level"] == "warning"


def shown_on_a_terminal(**environment: str) -> str:
    """What `dibs serve` writes to stderr from its start to its stop, if that is a terminal."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            python_m_dibs("serve"), env=clean({"PATH": "", **environment}), stdout=subprocess.PIPE, stderr=theirs
        ) as process:
            os.close(theirs)
            assert process.stdout is not None
            readable, _, _ = select.select([process.stdout], [], [], PATIENCE_S)
            assert readable, "it did not start"
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)
            return read_all(ours)
    finally:
        os.close(ours)


def read_all(terminal: int) -> str:
    """Whatever waits to be read, now that nobody writes any more."""
    parts = []
    while select.select([terminal], [], [], 0)[0]:
        try:
            parts.append(os.read(terminal, 65536))
        except OSError:  # Linux tells the end of a terminal so
            break
    return b"".join(parts).decode()


def test_a_workers_metrics_have_a_port_of_their_own(data_dir: Path, redis_path: str) -> None:
    with serve(data_dir, path=redis_path) as api:
        environment = {
            "DIBS_DATABASE_URL": f"sqlite:///{data_dir / 'dibs.db'}",
            "DIBS_REDIS_URL": f"unix://{data_dir / 'redis.sock'}",
        }
        with Running(data_dir / "worker", "worker", DIBS_METRICS_PORT="0", **environment) as worker:
            found = re.search(r"metrics: (http://127\.0\.0\.1:\d+)/metrics", worker.log)
            assert found, worker.log
            with urllib.request.urlopen(f"{found[1]}/metrics", timeout=5) as answer:
                families = {family.name for family in text_string_to_metric_families(answer.read().decode())}
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"{found[1]}/other", timeout=5)
            port = found[1].rpartition(":")[2]
            second = run("worker", DIBS_METRICS_PORT=port, **environment)
            assert worker.stop() == 0
        with urllib.request.urlopen(f"{api.url}/metrics", timeout=5) as answer:
            both = {family.name for family in text_string_to_metric_families(answer.read().decode())}
        assert api.stop() == 0
    assert {"dibs_jobs", "dibs_claim_seconds", "process_cpu_seconds"} <= families
    assert "dibs_queue_depth" not in families
    assert families | {"dibs_queue_depth", "dibs_submits"} <= both
    assert second.returncode == 1
    assert (
        second.stderr.splitlines()[-1] == f"dibs: port {port} of 127.0.0.1 is in use; set DIBS_METRICS_PORT to another"
    )


def test_no_log_line_shows_a_password(data_dir: Path) -> None:
    url = f"redis://ada:{SECRET}@127.0.0.1:{free_port()}/0"
    with serve(data_dir, DIBS_REDIS_URL=url, DIBS_LOG_LEVEL="DEBUG") as running:
        with urllib.request.urlopen(f"{running.url}/metrics", timeout=10) as answer:
            assert b"dibs_redis_up 0.0" in answer.read()
        running.stop()
    assert SECRET not in running.log

"""The nginx of docs/how-to/deploy.md, as it stands there, before a dibs with a key: it holds nothing up or back."""

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from shared.testing.missing import missing
from tests.docs.blocks import ROOT, blocks_of
from tests.face.processes import data_directory, held_back, run, serve
from tests.services import free_port

PAGE = (ROOT / "docs" / "how-to" / "deploy.md").read_text()
[SITE] = [block.text for block in blocks_of(PAGE) if block.language == "nginx"]
LETSENCRYPT = "/etc/letsencrypt/live/dibs.example.com"
START_S = 20.0

AROUND = """
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{site}
}}
"""


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with data_directory() as path:
        yield path


@pytest.fixture(scope="module")
def key(data_dir: Path) -> str:
    made = run("keys", "create", "shop", "--scope", "add", "--scope", "read", DIBS_DATA_DIR=str(data_dir))
    return made.stdout.strip()


@pytest.fixture(scope="module")
def proxied(data_dir: Path, key: str) -> Iterator[httpx.Client]:
    """A client that comes in by TLS. The second api of the page is not there, as while it is deployed anew."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        missing("no nginx found: apt-get install nginx-light, or put nginx on PATH")
    with serve(data_dir) as running, TemporaryDirectory(prefix="dibs-proxy-") as path:
        directory, port = Path(path), free_port()
        context = _certified(directory)
        site = SITE.replace("listen 443", f"listen 127.0.0.1:{port}").replace(LETSENCRYPT, path)
        site = site.replace("127.0.0.1:8000", running.url.removeprefix("http://"))
        site = site.replace("127.0.0.1:8001", f"127.0.0.1:{free_port()}")
        (directory / "nginx.conf").write_text(AROUND.format(directory=path, site=site))
        headers = {"Authorization": f"Bearer {key}"}
        with (
            _nginx(program, directory),
            httpx.Client(base_url=f"https://127.0.0.1:{port}", headers=headers, verify=context, timeout=20) as client,
        ):
            _until_it_answers(client, directory)
            yield client


def test_events_come_as_they_happen(proxied: httpx.Client, data_dir: Path) -> None:
    with held_back(data_dir):
        job = proxied.post("/add", json={"candidates": ["Max"]}).json()
        with proxied.stream("GET", f"{job['links']['self']}/events") as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("event:")) == "event: status"
    assert proxied.get(job["links"]["self"], headers={"Prefer": "wait=10"}).json()["status"] == "succeeded"


def test_a_bulk_is_taken_in_while_it_is_still_sent(proxied: httpx.Client) -> None:
    lines = [b'{"candidates":["%s-%d"]}\n' % (b"x" * 60, n) for n in range(20_000)]
    assert sum(map(len, lines)) > 1024 * 1024  # what nginx would take unless told otherwise

    def sent() -> Iterator[bytes]:
        yield b"".join(lines[:10_000])
        give_up_at = time.monotonic() + 10
        while _succeeded(proxied) < 500:
            assert time.monotonic() < give_up_at, "nothing of the first half has arrived"
        yield b"".join(lines[10_000:])

    bulk = proxied.post("/bulk/animals", content=sent(), headers={"Content-Type": "application/x-ndjson"})
    assert (bulk.status_code, bulk.json()["lines"]) == (202, 20_000)


def test_the_page_keeps_its_cookie_for_https(proxied: httpx.Client, key: str) -> None:
    """A form counts only where `Host` is what the browser calls the server."""
    origin = str(proxied.base_url).rstrip("/")
    answer = proxied.post("/ui/login", data={"key": key}, headers={"Origin": origin, "Authorization": ""})
    assert answer.status_code == 303
    assert "Secure" in answer.headers["set-cookie"]
    proxied.cookies.clear()


def _succeeded(client: httpx.Client) -> int:
    minutes = client.get("/stats").json()["minutes"]
    return sum(minute["counts"].get("succeeded", 0) for minute in minutes)


@contextmanager
def _nginx(program: str, directory: Path) -> Iterator[None]:
    command = [program, "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", str(directory / "error.log")]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _certified(directory: Path) -> ssl.SSLContext:
    """Write a certificate for this machine where the page has certbot's; whoever has the context trusts it."""
    key, certificate = directory / "privkey.pem", directory / "fullchain.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=dibs -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return ssl.create_default_context(cafile=str(certificate))


def _until_it_answers(client: httpx.Client, directory: Path) -> None:
    give_up_at = time.monotonic() + START_S
    while True:
        try:
            client.get("/health/live").raise_for_status()
        except httpx.TransportError:
            assert time.monotonic() < give_up_at, (directory / "error.log").read_text()
            time.sleep(0.02)
        else:
            return

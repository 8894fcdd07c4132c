"""Code of the application that runs in the worker and raises."""

from pathlib import Path

import httpx

from tests.face.processes import Running
from tests.serving import WAIT


async def test_a_hook_that_raises_fails_its_job_and_nothing_else(tmp_path: Path, http: httpx.AsyncClient) -> None:
    with Running(
        tmp_path / "log", "serve", DIBS_DATA_DIR=str(tmp_path / "data"), DIBS_MODELS="tests.faults.hooked"
    ) as running:
        http.base_url = httpx.URL(running.url)
        lines = "".join(
            f'{{"candidates": [{{"name": "{n}"}}], "values": {{"mood": "{mood}"}}}}\n'
            for n, mood in enumerate(["good", "error", "good", "exit", "good"])
        )
        bulk = await http.post("/bulk/nicknames", content=lines, headers={"Content-Type": "application/x-ndjson"})
        assert bulk.status_code == 202
        for n in range(20):
            add = {"candidates": [{"name": f"after {n}"}], "values": {"mood": "good"}}
            assert (await http.post("/add/nicknames", json=add, headers=WAIT)).json()["status"] == "succeeded"
        counts = (await http.get(bulk.json()["links"]["self"])).json()["counts"]
        results = (await http.get(bulk.json()["links"]["results"])).text
        assert counts == {"succeeded": 3, "failed": 2}
        assert "RuntimeError" in results
        assert "SystemExit" in results
        assert running.process.poll() is None

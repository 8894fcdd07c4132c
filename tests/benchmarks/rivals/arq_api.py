"""What a user would write around arq: FastAPI, `enqueue_job`, and a wait that polls for the result."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from arq.connections import ArqRedis, RedisSettings, create_pool
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tests.benchmarks.rivals.loop import redis_url

POLL_RESULT_S = 0.005
"""How often a waiting request looks for the result; arq's default of 0.5 s would decide the latency alone."""


class Add(BaseModel):
    candidates: list[str] = Field(min_length=1, max_length=1000)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.arq = await create_pool(RedisSettings.from_dsn(redis_url()))
    yield
    await app.state.arq.aclose()


app = FastAPI(lifespan=lifespan)


@app.post("/add/animals", status_code=202)
async def add(add: Add, request: Request, prefer: Annotated[str, Header()] = "") -> JSONResponse:
    arq: ArqRedis = request.app.state.arq
    job = await arq.enqueue_job("insert", add.candidates)
    assert job is not None
    if prefer:
        wait_s = float(prefer.removeprefix("wait="))
        result = await job.result(timeout=wait_s, poll_delay=POLL_RESULT_S)
        return JSONResponse({"id": job.job_id, "result": result})
    return JSONResponse({"id": job.job_id, "status": "queued"}, 202)


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "live"}

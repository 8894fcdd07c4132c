"""The bound of every door: a FastAPI route that reads the body and answers, and does nothing else."""

from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/add/animals")
async def add(request: Request) -> Response:
    await request.body()
    return Response(status_code=202)


@app.get("/health/live")
async def live() -> dict[str, str]:
    return {"status": "live"}

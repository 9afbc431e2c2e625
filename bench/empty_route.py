"""`python -m bench.empty_route`: a FastAPI route that reads the body of a new job and does nothing with it."""

from __future__ import annotations

import os

import uvicorn
from fastapi import FastAPI

from esteira_service.requests import JobRequest

app = FastAPI()


@app.post("/v1/jobs", status_code=202)
async def create_job(wanted: JobRequest) -> dict[str, str]:
    """Answer at once."""
    return {"task": wanted.task}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["ESTEIRA_PORT"]), log_level="critical")

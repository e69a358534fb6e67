"""Enqueue mails from a web application: uvicorn fastapi_producer:app"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict

from emails import EMAILS, Email
from fastapi import FastAPI, HTTPException, Request

from relay_sdk import AsyncClient, JobExistsError


class State(TypedDict):
    relay: AsyncClient


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[State]:
    async with AsyncClient() as relay:  # the server at $RELAY_URL
        yield {"relay": relay}


app = FastAPI(lifespan=lifespan)


@app.put("/mails/{id}", status_code=202)
async def enqueue(id: str, email: Email, request: Request) -> None:
    relay: AsyncClient = request.state.relay
    try:
        await relay.enqueue(EMAILS.job(id, email, timeout=30))
    except JobExistsError as error:
        raise HTTPException(409, str(error)) from error

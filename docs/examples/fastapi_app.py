"""A FastAPI application, and unisock behind one of its routes, with the same users.

    python docs/examples/fastapi_app.py --port 8001

FastAPI resolves the dependency `current_user` for its pages and for the WebSocket, and hands the
WebSocket on to unisock: the spark's user is what the dependency returned. What one window says, all
see. Without a name there is no way in: FastAPI answers the handshake with 401.
"""

import argparse
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated
from urllib.parse import parse_qsl

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, WebSocket
from fastapi.requests import HTTPConnection
from fastapi.responses import HTMLResponse, RedirectResponse

from unisock import Server, Spark
from unisock_asgi import asgi_app

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A wall with names</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: auto; padding: 2em 1em }
  input { font: inherit; width: 100%; box-sizing: border-box; padding: .4em .6em }
</style>
<h1>A wall with names</h1>
<form action="/login" method="post">
  <input name="name" placeholder="Your name, then press Enter" maxlength="24" required>
</form>
<p><input id="line" placeholder="Write, then press Enter" disabled></p>
<ul id="wall"></ul>
<script>
  const line = document.getElementById("line"), wall = document.getElementById("wall")
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws")
  socket.onopen = () => { line.disabled = false }
  socket.onmessage = event => {
    const item = document.createElement("li"), said = JSON.parse(event.data)
    item.textContent = said.name + ": " + said.text
    wall.prepend(item)
  }
  line.onchange = () => { socket.send(JSON.stringify(line.value)); line.value = "" }
</script>
"""

server = Server(adapter="asgi", endpoints=[{"path": "/ws"}])
live = asgi_app(server)
names: dict[str, str] = {}


@server.on_message
def write(spark: Spark, message: str) -> None:
    server.everyone.send_nowait({"name": spark.user, "text": str(message)[:200]})


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with server:
        yield


app = FastAPI(lifespan=lifespan)


def current_user(connection: HTTPConnection) -> str:
    """Whose request it is: of a page, or of a WebSocket."""
    name = names.get(connection.cookies.get("session", ""))
    if name is None:
        raise HTTPException(401, "say your name first")
    return name


User = Annotated[str, Depends(current_user)]


@app.get("/")
def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.post("/login")
async def login(request: Request) -> RedirectResponse:
    form = dict(parse_qsl((await request.body()).decode()))  # Form() would need another package
    session = secrets.token_urlsafe()
    names[session] = form.get("name", "nobody")[:24]
    response = RedirectResponse("/", status_code=303)
    response.set_cookie("session", session, httponly=True, samesite="lax")
    return response


@app.get("/me")
def me(user: User) -> str:
    return user


@app.websocket("/ws")
async def websocket(websocket: WebSocket, user: User) -> None:
    websocket.scope["user"] = user  # without an `authorize` handler, it is the spark's user
    await live(websocket.scope, websocket.receive, websocket.send)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve FastAPI, and unisock behind a route.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    uvicorn.run(app, port=parser.parse_args().port)

"""A Django project in one file, and unisock beside it, with the same sessions.

    python docs/examples/django_app.py --port 8001

Django has every path but /ws. Its session knows the visitor's name, and the handshake of a
WebSocket carries the same cookie, so unisock asks the same session. What one window says, all see.
Without a name there is no way in.
"""

import argparse
from importlib import import_module
from typing import Any

import django
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.urls import path

from unisock import Handshake, HandshakeRejected, Server, Spark
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
  <input type="hidden" name="csrfmiddlewaretoken" value="CSRF">
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

settings.configure(
    SECRET_KEY="only for this example: sessions are signed with it",
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    USE_TZ=True,
)
django.setup()


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE.replace("CSRF", get_token(request)).encode())


def login(request: Any) -> HttpResponse:  # Any: the middleware adds the session to it
    request.session["name"] = request.POST.get("name", "")[:24]
    return HttpResponseRedirect("/")


urlpatterns = [path("", page), path("login", login)]

server = Server(adapter="asgi", endpoints=[{"path": "/ws"}])


@server.authorize
def current_user(handshake: Handshake) -> str:
    """Whose WebSocket it is: as Django's session says."""
    key = handshake.cookies.get(settings.SESSION_COOKIE_NAME, "")
    name = import_module(settings.SESSION_ENGINE).SessionStore(key).get("name")
    if not name:
        raise HandshakeRejected("say your name first", status=401)
    return str(name)


@server.on_message
def write(spark: Spark, message: str) -> None:
    server.everyone.send_nowait({"name": spark.user, "text": str(message)[:200]})


application = asgi_app(server, get_asgi_application())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve Django, and unisock beside it.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    uvicorn.run(application, port=parser.parse_args().port)

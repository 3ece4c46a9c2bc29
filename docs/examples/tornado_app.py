"""A Tornado application with pages of its own, and unisock mounted beside them.

    python docs/examples/tornado_app.py --port 8001

The page at / belongs to the application, and so does everything else but /ws. What one window
types, all see. On SIGINT or SIGTERM the clients are told to come back, and the process ends.
"""

import argparse
import asyncio
import signal

import tornado.web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from unisock import Server, Spark
from unisock_tornado import routes

PAGE = """<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>A wall</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: auto; padding: 2em 1em }
  input { font: inherit; width: 100%; box-sizing: border-box; padding: .4em .6em }
</style>
<h1>A wall</h1>
<p>{{ visits }} visits so far. Open a second window, and write.</p>
<input id="line" placeholder="Write, then press Enter" autofocus>
<ul id="wall"></ul>
<script>
  const line = document.getElementById("line"), wall = document.getElementById("wall")
  const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws")
  socket.onmessage = event => {
    const item = document.createElement("li")
    item.textContent = JSON.parse(event.data)
    wall.prepend(item)
  }
  line.onchange = () => { socket.send(JSON.stringify(line.value)); line.value = "" }
</script>
"""

server = Server(adapter="tornado", endpoints=[{"path": "/ws"}])


@server.on_message
def write(spark: Spark, message: str) -> None:
    server.everyone.send_nowait(str(message)[:200])


class Page(tornado.web.RequestHandler):
    """The application's own page, as before unisock came."""

    visits = 0

    def get(self) -> None:
        Page.visits += 1
        self.write(PAGE.replace("{{ visits }}", str(Page.visits)))


async def main(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        application = tornado.web.Application([(r"/", Page), *routes(server)])
        http_server = HTTPServer(application)
        sockets = bind_sockets(port, "127.0.0.1")
        http_server.add_sockets(sockets)
        print(f"listening on http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
        await stop.wait()
        http_server.stop()
    # All WebSockets are closed here; what is left are keep-alive connections of the pages.
    await http_server.close_all_connections()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a page and a WebSocket beside it.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    asyncio.run(main(parser.parse_args().port))

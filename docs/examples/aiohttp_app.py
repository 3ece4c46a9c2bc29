"""An aiohttp application with pages of its own, and unisock mounted beside them.

    python docs/examples/aiohttp_app.py --port 8001

The page at / belongs to the application, and so does everything else but /ws. What one window
types, all see. On SIGINT or SIGTERM the clients are told to come back, and the process ends.
"""

import argparse
import asyncio
import signal
import sys

from aiohttp import web

from unisock import Server, Spark
from unisock_aiohttp import mount

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

VISITS = web.AppKey("visits", list[int])

server = Server(adapter="aiohttp", endpoints=[{"path": "/ws"}])


@server.on_message
def write(spark: Spark, message: str) -> None:
    server.everyone.send_nowait(str(message)[:200])


async def page(request: web.Request) -> web.Response:
    """The application's own page, as before unisock came."""
    visits = request.app[VISITS]
    visits[0] += 1
    return web.Response(text=PAGE.replace("{{ visits }}", str(visits[0])), content_type="text/html")


async def main(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    application = web.Application()
    application[VISITS] = [0]
    application.router.add_get("/", page)
    mount(server, application)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"listening on http://127.0.0.1:{runner.addresses[0][1]}", file=sys.stderr)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve a page and a WebSocket beside it.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    asyncio.run(main(parser.parse_args().port))

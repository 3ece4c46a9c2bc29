// A server of npm's ws, which does what the client asks for. It prints its port, then what it sees.
// It ends with its standard input.
//   /echo       echoes, but for the words below, and greets with the request's headers at /headers
//   /redirect/N sends the client to /redirect/N-1, and in the end to /echo
"use strict";

const http = require("node:http");
const { WebSocketServer } = require("ws");

const wss = new WebSocketServer({
  noServer: true,
  perMessageDeflate: true,
  handleProtocols: (offered) => (offered.has("chat.v2") ? "chat.v2" : false),
});

wss.on("connection", (ws, request) => {
  const say = (...words) => console.log(words.join(" "));
  if (request.url === "/headers") ws.send(JSON.stringify(request.headers));
  if (request.url === "/ping") ws.ping("from the server");
  ws.on("ping", (data) => say("ping", data));
  ws.on("pong", (data) => say("pong", data));
  ws.on("close", (code, reason) => say("close", code, reason));
  ws.on("message", (data, isBinary) => {
    const text = data.toString();
    if (text === "close") ws.close(4001, "that is all");
    else if (text === "bye") ws.close(1000, "so long");
    else if (text === "vanish") ws.terminate();
    else if (text === "extensions") ws.send(ws.extensions);
    else if (text === "pair") ws.send(Buffer.from([0, 255]));
    else ws.send(data, { binary: isBinary });
  });
});

const server = http.createServer((request, response) => response.writeHead(404).end("no page\n"));
server.on("upgrade", (request, socket, head) => {
  const [, left] = /^\/redirect\/(\d+)$/.exec(request.url) ?? [];
  if (left !== undefined) {
    const location = Number(left) > 1 ? `/redirect/${left - 1}` : "/echo";
    socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\n\r\n`);
    return;
  }
  wss.handleUpgrade(request, socket, head, (ws) => wss.emit("connection", ws, request));
});
process.stdin.on("end", () => process.exit()).resume();
server.listen(0, "127.0.0.1", () => console.log("port", server.address().port));

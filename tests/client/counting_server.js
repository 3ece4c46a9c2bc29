// counting_app.py, as a server of the npm package ws.
//
//   node counting_server.js --port PORT FILE

const fs = require("fs");
const path = require("path");
const { WebSocketServer } = require(path.join(__dirname, "../interop/node_modules/ws"));

const [, , , port, file] = process.argv;
const log = fs.openSync(file, "a");
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port), perMessageDeflate: true });

server.on("listening", () => console.error(`listening on http://127.0.0.1:${server.address().port}`));
server.on("connection", (socket, request) => {
  const code = Number(new URL(request.url, "http://x").searchParams.get("close"));
  if (code) return socket.close(code, "as you asked");
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => {
    fs.writeSync(log, `${data.toString().slice(0, 20)}\n`);
    socket.send(isBinary ? data : data.toString());
  });
});
process.on("SIGTERM", () => process.exit(0));

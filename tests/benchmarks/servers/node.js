// npm's servers: echo on /echo, to all on /broadcast; or events of these meanings with Socket.IO.
// `node node.js ws` prints its port.
"use strict";
const http = require("http");
const path = require("path");
const { createRequire } = require("module");

const load = createRequire(path.join(__dirname, "..", "..", "interop", "package.json"));
const server = http.createServer();

const serve = {
  ws() {
    const { WebSocketServer } = load("ws");
    const all = new WebSocketServer({ server, perMessageDeflate: false });
    const listeners = new Set();
    all.on("connection", (one, request) => {
      if (request.url === "/echo") {
        one.on("message", (message, binary) => one.send(message, { binary }));
        return;
      }
      listeners.add(one);
      one.on("close", () => listeners.delete(one));
      one.on("message", (message, binary) => {
        for (const listener of listeners) listener.send(message, { binary });
      });
    });
  },
  "socket.io"() {
    const { Server } = load("socket.io");
    const io = new Server(server);
    io.on("connection", (one) => {
      one.on("echo", (text) => one.emit("echo", text));
      one.on("spread", (text) => io.emit("news", text));
    });
  },
  primus() {
    const Primus = load("primus");
    const make = (pathname) => new Primus(server, { transformer: "websockets", pathname });
    make("/echo").on("connection", (one) => one.on("data", (message) => one.write(message)));
    const all = make("/broadcast");
    all.on("connection", (one) => one.on("data", (message) => all.write(message)));
  },
  sockjs() {
    const sockjs = load("sockjs");
    const make = (prefix, onConnection) => {
      const service = sockjs.createServer({ log: () => {}, response_limit: 2 ** 40 });
      service.on("connection", onConnection);
      service.installHandlers(server, { prefix });
    };
    const listeners = new Set();
    make("/echo", (one) => one.on("data", (message) => one.write(message)));
    make("/broadcast", (one) => {
      listeners.add(one);
      one.on("close", () => listeners.delete(one));
      one.on("data", (message) => {
        for (const listener of listeners) listener.write(message);
      });
    });
  },
  "engine.io"() {
    const { Server } = load("engine.io");
    const make = (prefix, onConnection) => {
      const service = new Server();
      service.on("connection", onConnection);
      service.attach(server, { path: prefix, destroyUpgrade: false });
    };
    const listeners = new Set();
    make("/echo", (one) => one.on("message", (message) => one.send(message)));
    make("/broadcast", (one) => {
      listeners.add(one);
      one.on("close", () => listeners.delete(one));
      one.on("message", (message) => {
        for (const listener of listeners) listener.send(message);
      });
    });
  },
};

serve[process.argv[2]]();
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

// npm's sockjs or engine.io: echo on /echo, to all on /broadcast. Prints its port.
"use strict";
const http = require("http");
const path = require("path");
const { createRequire } = require("module");

const load = createRequire(path.join(__dirname, "..", "interop", "package.json"));
const server = http.createServer();

const serve = {
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

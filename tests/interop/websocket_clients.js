// Drives one real WebSocket client library against the server of test_websocket_clients.py.
// For run.js: ("ws" | "faye-websocket" | "websocket", "ws://127.0.0.1:PORT", check) => what happened;
// the Python test decides whether it is right.

// Each library as the same few events: {open, message(data, isBinary), close(code, reason), refused}.
const clients = {
  ws(url, protocols, on) {
    const WebSocket = require("ws");
    const socket = new WebSocket(url, protocols);
    socket.on("open", () => on.open(socket.protocol));
    socket.on("message", (data, isBinary) => on.message(isBinary ? data : data.toString()));
    socket.on("close", (code, reason) => on.close(code, reason.toString()));
    socket.on("unexpected-response", (_, response) => readBody(response, on.refused));
    socket.on("error", () => {});
    return {
      send: (data) => socket.send(data),
      close: (code, reason) => socket.close(code, reason),
      ping: (done) => socket.once("pong", () => done()) && socket.ping("beat"),
      cut: () => socket.terminate(),
    };
  },
  "faye-websocket"(url, protocols, on) {
    const { Client } = require("faye-websocket");
    const socket = new Client(url, protocols, { maxLength: 2 ** 26 });
    socket.on("open", () => on.open(socket.protocol));
    socket.on("message", ({ data }) => on.message(data));
    socket.on("close", ({ code, reason }) => {
      if (socket.statusCode && socket.statusCode !== 101) on.refused(socket.statusCode, "");
      else on.close(code, reason);
    });
    socket.on("error", () => {});
    return {
      send: (data) => socket.send(data),
      close: (code, reason) => socket.close(code, reason),
      ping: (done) => socket.ping("beat", () => done()),
      cut: () => socket._stream.destroy(),
    };
  },
  websocket(url, protocols, on) {
    const { client: Client } = require("websocket");
    const client = new Client({ maxReceivedMessageSize: 2 ** 26, maxReceivedFrameSize: 2 ** 26 });
    let connection;
    client.on("connect", (opened) => {
      connection = opened;
      connection.on("message", (message) =>
        on.message(message.type === "utf8" ? message.utf8Data : message.binaryData));
      connection.on("close", (code, reason) => on.close(code, reason));
      on.open(connection.protocol);
    });
    client.on("httpResponse", (response) => readBody(response, on.refused));
    client.on("connectFailed", () => {});
    client.connect(url, protocols);
    return {
      send: (data) => (typeof data === "string" ? connection.sendUTF(data) : connection.sendBytes(data)),
      close: (code, reason) => connection.close(code, reason),
      ping: (done) => connection.once("pong", () => done()) && connection.ping("beat"),
      cut: () => connection.socket.destroy(),
    };
  },
};

function readBody(response, done) {
  let body = "";
  response.on("data", (chunk) => (body += chunk));
  response.on("end", () => done(response.statusCode, body));
}

const TEXTS = ["", "a", "hello", "grüße €", "𝄞\u2028\u2029%\"\\", "x".repeat(126), "y".repeat(65536)];

// Each calls `finish` when it is over. `start` opens a socket at a path, `ask` hears one message there.
const checks = {
  // Texts and binaries come back as they are, in order.
  echo({ start, finish }) {
    const sent = [...TEXTS, Buffer.alloc(0), Buffer.from([0, 1, 254, 255]), Buffer.alloc(70000, 7)];
    const got = [];
    const client = start("/echo", [], {
      open: () => sent.forEach((message) => client.send(message)),
      message: (data) => {
        got.push(data);
        if (got.length === sent.length) finish({ same: sent.map((m, i) => equal(m, got[i])) });
      },
    });
  },
  order({ start, finish }) {
    const got = [];
    const client = start("/echo", [], {
      open: () => { for (let i = 0; i < 1000; i++) client.send(String(i)); },
      message: (data) => {
        got.push(Number(data));
        if (got.length === 1000) finish({ inOrder: got.every((n, i) => n === i) });
      },
    });
  },
  big({ start, finish }) {
    const text = "z".repeat(1048576);
    const client = start("/echo", [], {
      open: () => client.send(text),
      message: (data) => finish({ same: data === text }),
    });
  },
  tooBig({ start, finish }) {
    const client = start("/echo", [], {
      open: () => client.send("z".repeat(1048577)),
      close: (code, reason) => finish({ code, reason }),
    });
  },
  // The server says how the connection ended; we wait until it knows.
  clientCloses({ start, ask, finish }) {
    const client = start("/ends", [], {
      open: () => client.close(4001, "that is all"),
      close: () => ask("/last", (answer) => finish(answer)),
    });
  },
  clientVanishes({ start, ask, finish }) {
    const client = start("/ends", [], {
      open: () => client.cut(),
      close: () => ask("/last", (answer) => finish(answer)),
    });
  },
  serverCloses({ start, finish }) {
    const client = start("/closes", [], {
      open: () => client.send("now"),
      close: (code, reason) => finish({ code, reason }),
    });
  },
  subprotocol({ start, finish }) {
    start("/echo", ["v9.chat", "v2.chat", "v1.chat"], { open: (protocol) => finish({ protocol }) });
  },
  refused({ start, finish }) {
    start("/refuses", [], { refused: (status, body) => finish({ status, body }) });
  },
  nothingThere({ start, finish }) {
    start("/nowhere", [], { refused: (status) => finish({ status }) });
  },
  ping({ start, finish }) {
    const client = start("/echo", [], { open: () => client.ping(() => finish({ pong: true })) });
  },
};

function equal(one, other) {
  return typeof one === "string" ? one === other : Buffer.compare(one, Buffer.from(other)) === 0;
}

module.exports = (library, base, check) => new Promise((finish, fail) => {
  const nothing = () => {};
  const start = (path, protocols, on) => clients[library](base + path, protocols, {
    open: nothing, message: nothing, close: nothing, refused: nothing, ...on,
  });
  const ask = (path, done) => start(path, [], { message: (data) => done(JSON.parse(data)) });
  checks[check]({ start, ask, finish });
  setTimeout(() => fail(new Error(`${check}: nothing for 20 seconds`)), 20000).unref();
});

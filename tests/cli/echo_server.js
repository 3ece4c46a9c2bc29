// An echo on npm's ws: prints its port. With "greet" it says hello first.
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({ port: 0, host: "127.0.0.1" }, () => {
  process.stderr.write(`listening on http://127.0.0.1:${server.address().port}\n`);
});
server.on("connection", (socket) => {
  if (process.argv[2] === "greet") socket.send("hello");
  socket.on("message", (data, binary) => socket.send(data, { binary }));
});

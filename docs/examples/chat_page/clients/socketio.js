// Socket.IO: npm's socket.io-client, over a WebSocket from the start. Events and answers are its own.
export default {
  title: "Socket.IO",
  endpoint: { protocol: "engineio", dialect: "socketio" },
  libraries: { "socket.io-client": "io" },
  open: (url, on, io) => {
    const { origin, pathname } = new URL(url);
    const socket = io(origin, { path: pathname, transports: ["websocket"], reconnection: false, forceNew: true });
    socket.on("connect", () => on.open());
    socket.onAny((...event) => on.event(...event));
    socket.on("connect_error", ({ message }) => on.close({ code: 1006, reason: message }));
    // Sent away by the server, a client of Socket.IO does not come back by itself.
    socket.on("disconnect", reason => on.close({ code: reason === "io server disconnect" ? 4500 : 1006, reason }));
    return {
      emit: (answered, ...event) => socket.emit(...event, answer => answered(answer?.error)),
      close: () => socket.close(),
    };
  },
};

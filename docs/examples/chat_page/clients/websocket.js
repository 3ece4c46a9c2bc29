// The browser's WebSocket.
import { envelope } from "../link.js";

export default {
  title: "WebSocket",
  endpoint: { protocol: "websocket" },
  made: "the browser’s own",
  open: (url, on) => envelope(new WebSocket(url.replace(/^http/, "ws")), on),
};

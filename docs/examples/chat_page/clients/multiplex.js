// A topic of npm's websocket-multiplex, over a sockjs-client of its own.
import { envelope } from "../link.js";

export default {
  title: "websocket-multiplex",
  endpoint: { protocol: "sockjs", dialect: "websocket-multiplex" },
  libraries: { "websocket-multiplex": "WebSocketMultiplex", "sockjs-client": "SockJS" },
  open: (url, on, WebSocketMultiplex, SockJS) => {
    const socket = new SockJS(url, null, { transports: ["websocket"] });
    const topic = new WebSocketMultiplex(socket).channel("chat");
    const face = { send: text => topic.send(text), close: () => socket.close() };
    topic.onopen = () => face.onopen();
    topic.onmessage = message => face.onmessage(message);
    // Topics end before their connection does, and then that says why; else this one is over.
    topic.onclose = () => setTimeout(() => { face.onclose({ code: 4500, reason: "the topic is over" }); socket.close(); }, GRACE);
    socket.onclose = facts => face.onclose(facts);
    return envelope(face, on);
  },
};

const GRACE = 500; // ms

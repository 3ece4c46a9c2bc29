// SockJS as it is where no WebSocket gets through: npm's sockjs-client, kept to XHR.
import { envelope, random } from "../link.js";

export default {
  title: "SockJS",
  endpoint: { protocol: "sockjs" },
  libraries: { "sockjs-client": "SockJS" },
  made: "XHR streaming, in 40 lines of this page",
  open: (url, on, SockJS) => envelope(SockJS ? new SockJS(url, null, { transports: ["xhr-streaming", "xhr-polling"] }) : streaming(url), on),
};

const PATIENCE = 12000; // ms in which the server takes a message, or the connection is lost

/** One response that goes on, and a POST for each message. */
function streaming(url) {
  const base = `${url}/000/${random()}`, stop = new AbortController();
  let turn = Promise.resolve(), opened = false, over = false;
  const post = async (path, body, ...ends) => {
    const signal = AbortSignal.any([stop.signal, ...ends]);
    const response = await fetch(base + path, { method: "POST", body, cache: "no-store", signal });
    if (!response.ok) throw new Error(response.status);
    return response;
  };
  const end = facts => {
    if (over) return;
    over = true;
    stop.abort();
    face.onclose(facts);
  };
  const lost = () => end({ code: 1006, reason: "" });
  const take = frame => { // o: open, a[…]: messages, c[code,reason]: the end, h: a heartbeat
    const body = frame.length > 1 && frame[0] !== "h" ? JSON.parse(frame.slice(1)) : [];
    if (frame === "o" && opened) lost(); // a server that has restarted makes it another session
    else if (frame === "o") { opened = true; face.onopen(); }
    else if (frame[0] === "a") body.forEach(data => face.onmessage({ data }));
    else if (frame[0] === "c") end({ code: body[0], reason: body[1] });
  };
  const listen = async () => {
    while (!over) { // a response carries so many bytes, and then there is the next
      const stream = (await post("/xhr_streaming")).body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = "", part; !(part = await stream.read()).done;) {
        const frames = (rest + part.value).split("\n");
        rest = frames.pop();
        frames.forEach(take);
      }
    }
  };
  const face = {
    send: text => { turn = turn.then(() => post("/xhr_send", JSON.stringify([text]), AbortSignal.timeout(PATIENCE))).catch(lost); },
    close: () => end({ code: 1005, reason: "" }),
  };
  listen().catch(lost);
  return face;
}

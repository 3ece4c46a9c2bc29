// Engine.IO 4: polling first, and then a WebSocket that takes over.
import { envelope } from "../link.js";

export default {
  title: "Engine.IO",
  endpoint: { protocol: "engineio" },
  libraries: { "engine.io-client": "eio" },
  made: "polling and upgrade, in 60 lines of this page",
  open: (url, on, eio) => envelope(eio ? npm(url, eio) : own(url), on),
};

/** The face of a WebSocket for npm's client. */
function npm(url, eio) {
  const socket = eio(new URL(url).origin, { path: new URL(url).pathname });
  const face = { send: text => socket.send(text), close: () => socket.close() };
  socket.on("open", () => face.onopen());
  socket.on("message", data => face.onmessage({ data }));
  // Over a WebSocket, there is the event that tells of its end.
  socket.on("close", (reason, details) => face.onclose({ code: details?.context?.code ?? 1006, reason: details?.context?.reason ?? reason }));
  return face;
}

function own(url) {
  const stop = new AbortController(), waiting = [];
  let sid = "", turn = Promise.resolve(), probed = null, socket = null, over = false;
  const address = transport => `${url}/?EIO=4&transport=${transport}${sid && `&sid=${sid}`}`;
  const end = facts => {
    if (over) return;
    over = true;
    stop.abort();
    probed?.close();
    face.onclose(facts);
  };
  const lost = () => end({ code: 1006, reason: "" });
  const ask = async body => {
    const method = body === undefined ? "GET" : "POST";
    const response = await fetch(address("polling"), { method, body, cache: "no-store", signal: stop.signal });
    if (!response.ok) throw new Error(response.status);
    return response.text();
  };
  const write = packet => {
    if (socket) socket.send(packet);
    else if (probed) waiting.push(packet);
    else turn = turn.then(() => ask(packet)).catch(lost);
  };
  const take = packet => { // 0: open, 1: close, 2: ping, 4: a message; 6 only lets a poll go
    const data = packet.slice(1);
    if (packet[0] === "0") {
      const { sid: given, upgrades } = JSON.parse(data);
      sid = given;
      if (upgrades.includes("websocket")) probe();
      face.onopen();
    } else if (packet[0] === "1") end({ code: 1006, reason: "" });
    else if (packet[0] === "2") write(`3${data}`);
    else if (packet[0] === "4") face.onmessage({ data });
  };
  const probe = () => {
    const candidate = new WebSocket(address("websocket").replace(/^http/, "ws"));
    candidate.onopen = () => candidate.send("2probe");
    candidate.onmessage = ({ data }) => { if (data === "3probe") probed = candidate; else take(data); };
    candidate.onclose = ({ code, reason }) => { if (probed === candidate) end({ code, reason }); };
  };
  const poll = async () => {
    while (!probed && !over) (await ask()).split("\x1e").forEach(take);
    await turn; // what is under way by POST gets there first
    if (over) return;
    probed.send("5");
    socket = probed;
    waiting.splice(0).forEach(packet => socket.send(packet));
  };
  const face = {
    send: text => write(`4${text}`),
    close: () => {
      if (socket) socket.send("1");
      else if (sid && !over) navigator.sendBeacon(address("polling"), "1");
      end({ code: 1005, reason: "" });
    },
  };
  poll().catch(lost);
  return face;
}

// The browser's EventSource, which listens only; the server's first event says where to post.
import { envelope } from "../link.js";

export default {
  title: "EventSource",
  endpoint: { protocol: "eventsource" },
  made: "the browser’s own, and POST",
  open: (url, on) => envelope(source(url), on),
};

function source(url) {
  const events = new EventSource(url);
  let address = "", turn = Promise.resolve();
  const end = facts => { events.close(); face.onclose(facts); };
  const face = {
    send: text => { turn = turn.then(() => post(text)).catch(() => end({ code: 1006, reason: "a POST failed" })); },
    close: () => events.close(),
  };
  const post = async body => {
    const { ok, status } = await fetch(address, { method: "POST", body });
    if (!ok) throw new Error(status);
  };
  events.addEventListener("post", ({ data }) => { address = data; face.onopen(); });
  events.addEventListener("close", ({ data }) => end(JSON.parse(data)));
  events.onmessage = ({ data }) => face.onmessage({ data });
  events.onerror = () => end({ code: 1006, reason: "" }); // it would come back by itself, but to another session
  return face;
}

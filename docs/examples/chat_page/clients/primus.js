// Primus with primus-emitter, in the library that npm's primus builds for the endpoint.
export default {
  title: "Primus",
  endpoint: { protocol: "websocket", dialect: "primus" },
  libraries: { primus: "Primus" },
  build: ["ws", "primus-emitter", "primus-multiplex"],
  open: (url, on, Primus) => {
    const primus = new Primus(new URL(url).origin);
    let refusal, over = false;
    const end = facts => {
      if (over) return;
      over = true;
      primus.end();
      on.close(facts);
    };
    primus.on("open", () => on.open());
    on.names.forEach(name => primus.on(name, (...facts) => on.event(name, ...facts)));
    // What it would come back from by itself, the page comes back from.
    primus.on("reconnect scheduled", () => end({ code: 1006, reason: "" }));
    primus.on("end", () => end({ code: 4500, reason: "for good" }));
    // primus-emitter hands on the answers, and not why there is none.
    primus.transform("incoming", ({ data }) => { refusal = data?.error; });
    return {
      emit: (answered, ...event) => primus.send(...event, () => answered(refusal)),
      close: () => { over = true; primus.end(); },
    };
  },
};

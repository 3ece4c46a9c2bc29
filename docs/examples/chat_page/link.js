// What the pages of the chat share: a client's connection, in events, which comes back by itself.
//
// A client is a file in clients/, which says
//   title     what people call it
//   endpoint  the protocol that it speaks, and the dialect if that is not "plain"
//   made      what it is made of, where it needs no library
//   npm       its package, and `global`, the name under which that package's script puts it
//   open      open(url, on, library): connects, and calls on.open(), on.event(name, …) and
//             on.close({code, reason}); gives back emit(answered, name, …) and close(). `library`
//             is what stands under `global`, or nothing where npm has not brought the package

export const random = () => Array.from(crypto.getRandomValues(new Uint8Array(9)), byte => (byte % 36).toString(36)).join("");
export const clock = at => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
export const hue = name => [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);

export const kept = {
  get: key => sessionStorage.getItem(key),
  set: (key, value) => sessionStorage.setItem(key, value),
  /** A secret of this window's: who has it may take over what a lost connection still holds. */
  secret: key => { if (!kept.get(key)) kept.set(key, random() + random()); return kept.get(key); },
};

/** An element. Whatever people wrote goes in as text, never as HTML. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element[key] = value;
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter(child => child != null));
  return element;
}

export const face = name => h("span", { class: "face", style: `--hue: ${hue(name)}`, "aria-hidden": "true" }, [...name][0].toUpperCase());
export const pill = transport => h("span", { class: "transport" }, transport);

/** Make these the children, moving only those that must. */
export function arrange(box, elements) {
  const wanted = new Set(elements);
  [...box.children].forEach(child => { if (!wanted.has(child)) child.remove(); });
  elements.forEach((element, index) => {
    if (box.children[index] !== element) box.insertBefore(element, box.children[index] ?? null);
  });
}

/** Events in the envelope of primus-emitter, on anything with the face of a WebSocket: type 0 is an
 * event, type 1 the answer to the one with its id. */
export function envelope(socket, on) {
  const asked = new Map();
  let last = 0;
  socket.onopen = () => on.open();
  socket.onmessage = message => {
    const { type, data, id, error } = JSON.parse(message.data);
    if (type === 0) on.event(...data);
    else { asked.get(id)?.(error); asked.delete(id); }
  };
  socket.onclose = ({ code, reason }) => on.close({ code, reason });
  return {
    emit: (answered, ...data) => {
      asked.set(++last, answered);
      socket.send(JSON.stringify({ type: 0, data, id: last }));
    },
    close: () => socket.close(),
  };
}

/** What the server offers: asked each time, since it may come back with another adapter. */
export const look = async () =>
  (await fetch("config.json", { cache: "no-store", signal: AbortSignal.timeout(8000) })).json();

/** Every client that there is, those first that the server has an endpoint for. */
export async function allClients() {
  let config;
  while (!config) config = await look().catch(() => new Promise(resolve => setTimeout(resolve, 1000)));
  const all = await Promise.all(config.clients.map(async id => ({ id, ...(await import(`./clients/${id}.js`)).default })));
  const place = client => (config.endpoints.indexOf(endpointOf(config, client)) + 1) || Infinity;
  return all.sort((one, other) => place(one) - place(other) || 0);
}

/** The endpoint that a client can connect to, if there is one. */
export const endpointOf = (config, { endpoint: { protocol, dialect = "plain" } }) =>
  config.endpoints.find(one => one.protocol === protocol && one.dialect === dialect);

/** Why there is none. */
export function absence(config, { title, endpoint: { protocol } }) {
  const carried = config.carries[protocol];
  if (carried === undefined) return [`${title} is not installed where the server runs:`, `pip install unisock-${protocol}`];
  if (!carried) return [`The adapter ${config.adapter} does not carry ${title}. This one does:`, "unisock demo --adapter tornado"];
  return [`No endpoint of this server speaks ${title}. The demo has one:`, "unisock demo"];
}

/** What a client is made of: its npm package with the version, or what else. */
export const made = (config, { npm, made }) => config.libraries[npm] ? `${npm} ${config.libraries[npm].version}` : made;

const loaded = new Map();

/** Load the script of a client's npm package, once. */
async function library(config, { npm, global }) {
  const found = config.libraries[npm];
  if (found && !loaded.has(npm)) {
    loaded.set(npm, new Promise((resolve, reject) => {
      document.head.append(h("script", { src: found.path, onload: resolve, onerror: () => { loaded.delete(npm); reject(); } }));
    }));
  }
  await loaded.get(npm);
  return globalThis[global];
}

const PATIENCE = 8000; // ms for a connection to open

/** One connection after the other. */
export class Link {
  /**
   * @param choose gives the client to connect with, from what the server offers; or nothing
   * @param hear called with each event
   * @param change called with "on", "waiting", "over" or "absent", and facts
   */
  constructor(choose, hear, change) {
    Object.assign(this, { choose, hear, change, attempts: 0, session: null, on: null, timer: 0, looking: false });
    addEventListener("online", () => this.now());
    addEventListener("offline", () => this.#cut());
    addEventListener("pagehide", () => this.session?.close());
  }

  async open() {
    this.resting = false;
    if (this.on || this.looking) return;
    this.looking = true;
    let config, client, script;
    try {
      config = await look();
      client = this.choose(config);
      if (client) script = await library(config, client);
    } catch {
      this.looking = false;
      if (!this.resting) this.later();
      return;
    }
    this.looking = false;
    if (this.resting) return;
    if (!client) { this.change("absent", { config }); return; }
    this.#begin(config, client, script);
  }

  #begin(config, client, script) {
    const started = Date.now();
    const live = handle => (...facts) => { if (this.on === on) handle(...facts); };
    const on = this.on = {
      open: live(() => { clearTimeout(tooLong); this.change("on", { config, client }); }),
      event: live((...data) => this.hear(...data)),
      close: live(facts => { clearTimeout(tooLong); this.#ended(facts); }),
    };
    const tooLong = setTimeout(() => this.#cut(`no connection after ${Math.round((Date.now() - started) / 1000)} s`), PATIENCE);
    this.session = client.open(location.origin + endpointOf(config, client).path, on, script);
  }

  #ended(facts) {
    this.on = this.session = null;
    const { code } = facts;
    // Of the application's codes, the upper halves mean: stay away.
    if (code >= 3000 && code % 1000 >= 500) this.change("over", facts);
    else this.later(facts);
  }

  #cut(reason = "") {
    const { on, session } = this;
    session?.close();
    on?.close({ code: 1006, reason });
  }

  /** Full jitter: anywhere between now and a bound that doubles, so a thousand pages come back evenly. */
  later(facts = {}) {
    const delay = 150 + Math.random() * Math.min(10000, 400 * 2 ** this.attempts++);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), delay);
    this.change("waiting", { until: Date.now() + delay, ...facts });
  }

  now() { if (!this.on) { clearTimeout(this.timer); this.open(); } }

  /** Close, and open again: by another client, perhaps. */
  again() {
    this.rest();
    this.attempts = 0;
    this.now();
  }

  /** Close, until `now` is called. */
  rest() {
    const { session } = this;
    clearTimeout(this.timer);
    this.on = this.session = null;
    this.resting = true;
    session?.close();
  }

  settled() { this.attempts = 0; }

  /** Send an event; `answered` is called with nothing, or with {code, message} if the server refuses. */
  emit(answered, ...data) {
    try { this.session?.emit(answered, ...data); } catch { /* it closes just now: sent again later */ }
  }
}

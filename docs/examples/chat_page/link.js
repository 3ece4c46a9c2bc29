// What the pages of the chat share: a client's connection, in events, which comes back by itself.
//
// A client is a file in clients/, which says
//   title     what people call it
//   endpoint  the protocol that it speaks, and the dialect if that is not "plain"
//   libraries its packages of npm, each with the name under which that package's script puts it
//   made      what it is made of, where it needs none; else it cannot do without them
//   build     further packages, where npm has to build its library
//   open      open(url, on, …): connects, and calls on.open(), on.event(name, …) and
//             on.close({code, reason}); gives back emit(answered, name, …) and close(). `on.names`
//             are the events that are wanted. Behind them comes what stands under the names of the
//             libraries, or nothing where npm has not brought them all

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

/** The endpoint for a client, if there is one. */
export const endpointOf = (config, { endpoint: { protocol, dialect = "plain" } }) =>
  config.endpoints.find(one => one.protocol === protocol && one.dialect === dialect);

/** The libraries of a client that npm has not brought. */
const missing = (config, { libraries = {} }) => Object.keys(libraries).filter(name => !config.libraries[name]);

/** Whether a client can connect. */
export const able = (config, client) => !!endpointOf(config, client) && (!!client.made || !missing(config, client).length);

/** Why it cannot, and what to type. */
export function absence(config, client) {
  const { title, endpoint: { protocol, dialect = "plain" } } = client, carried = config.carries[protocol];
  const lacking = !config.dialects.includes(dialect) ? dialect : carried === undefined ? protocol : "";
  if (lacking) return [`${title} is not installed where the server runs:`, `pip install unisock-${lacking}`];
  if (!carried) return [`The adapter ${config.adapter} does not carry ${title}. This one does:`, "unisock demo --adapter tornado"];
  if (!endpointOf(config, client)) return [`No endpoint of this server speaks ${title}. The demo has one:`, "unisock demo"];
  const packages = [...missing(config, client), ...client.build ?? []].join(" ");
  const node = config.node || !client.build ? "" : ", which needs Node.js";
  return [`The library comes from npm${node}. Where the server runs, type this, and start it again:`, `npm install ${packages}`];
}

/** What a client is made of: its npm package with the version, or what else. */
export function made(config, client) {
  const [name] = Object.keys(client.libraries ?? {});
  const found = name && !missing(config, client).length;
  return found ? `${name} ${config.libraries[name].version}` : client.made ?? name;
}

const loaded = new Map();

/** Load the scripts of a client's npm packages, each once. */
async function load(config, client) {
  const { libraries = {} } = client;
  if (missing(config, client).length) return [];
  for (const name of Object.keys(libraries)) {
    if (!loaded.has(name)) loaded.set(name, script(config.libraries[name].path, () => loaded.delete(name)));
    await loaded.get(name);
  }
  return Object.values(libraries).map(name => globalThis[name]);
}

const script = (src, failed) => new Promise((resolve, reject) => {
  document.head.append(h("script", { src, onload: resolve, onerror: () => { failed(); reject(); } }));
});

const PATIENCE = 8000; // ms for a connection to open

/** One connection after the other. */
export class Link {
  /**
   * @param choose gives the client to connect with, from what the server offers; or nothing
   * @param hears a function for each event, by its name
   * @param change called with "on", "waiting", "over" or "absent", and facts
   */
  constructor(choose, hears, change) {
    Object.assign(this, { choose, hears, change, attempts: 0, session: null, on: null, timer: 0, looking: false });
    addEventListener("online", () => this.now());
    addEventListener("offline", () => this.#cut());
    addEventListener("pagehide", () => this.session?.close());
  }

  async open() {
    this.resting = false;
    if (this.on || this.looking) return;
    this.looking = true;
    let config, client, libraries;
    try {
      config = await look();
      client = this.choose(config);
      if (client) libraries = await load(config, client);
    } catch {
      this.looking = false;
      if (!this.resting) this.later();
      return;
    }
    this.looking = false;
    if (this.resting) return;
    if (!client) { this.change("absent", { config }); return; }
    this.#begin(config, client, libraries);
  }

  #begin(config, client, libraries) {
    const started = Date.now();
    const live = handle => (...facts) => { if (this.on === on) handle(...facts); };
    const on = this.on = {
      names: Object.keys(this.hears),
      open: live(() => { clearTimeout(tooLong); this.change("on", { config, client }); }),
      event: live((name, ...facts) => this.hears[name]?.(...facts)),
      close: live(facts => { clearTimeout(tooLong); this.#ended(facts); }),
    };
    const tooLong = setTimeout(() => this.#cut(`no connection after ${Math.round((Date.now() - started) / 1000)} s`), PATIENCE);
    this.session = client.open(location.origin + endpointOf(config, client).path, on, ...libraries);
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

// One room, every client: a panel for each, with a connection of its own.
import { Link, able, absence, allClients, arrange, clock, endpointOf, face, h, hue, kept, made, pill } from "./link.js";

const $ = id => document.getElementById(id);
const ROOM = "lobby";
const NAMES = ["Ada", "Cleo", "Jo", "Dev", "Wen", "Gus", "Ida", "Ola", "Bob", "Mia", "Uma", "Ned"]; // told apart by colour
const LINES = 200;         // that a panel keeps
const RESTS_AFTER = 15000; // ms that the window is hidden
const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

class Panel {
  constructor(client, number) {
    Object.assign(this, { client, person: NAMES[number % NAMES.length], tries: 1, settled: false, people: new Map(), members: new Set() });
    this.name = kept.get(`name of ${client.id}`) ?? this.person;
    this.secret = kept.secret(`key of ${client.id}`);
    this.#draw();
    this.link = new Link(config => this.#choose(config), this.hears, (state, facts) => this.#change(state, facts));
    this.link.open();
  }

  // ---- What its client hears. ----

  hears = {
    welcome: facts => {
      Object.assign(this, { facts, people: new Map(Object.entries(facts.transports)), members: new Set(facts.rooms[ROOM]) });
      this.link.settled();
      this.#hello();
    },
    named: ({ name, transport, you }) => {
      this.people.set(name, transport);
      if (you) this.#settle(name, transport);
      drawRoom();
    },
    moved: ({ name, transport }) => {
      if (!name) return;
      this.people.set(name, transport);
      if (name === this.name) this.via.textContent = transport;
      drawRoom();
    },
    joined: ({ room, name }) => { if (room === ROOM) this.#enter(name); },
    left: ({ room, name }) => { if (room === ROOM) this.#leave(name); },
    closed: ({ name }) => { this.#leave(name); this.people.delete(name); },
    said: ({ room, ...message }) => { if (room === ROOM) this.#show(message); },
  };

  #hello() {
    this.link.emit(error => {
      if (!error || this.settled) return;
      if (error.code === "name-taken") { this.name = `${this.person} ${++this.tries}`; this.#hello(); }
      else this.#wrong(error);
    }, "hello", this.name, this.secret);
  }

  #settle(name, transport) {
    this.name = name;
    kept.set(`name of ${this.client.id}`, name);
    this.via.textContent = transport;
    this.via.hidden = false;
    this.state.textContent = name;
    this.state.classList.add("known");
    this.state.parentElement.style.setProperty("--hue", hue(name));
    this.face.replaceWith(this.face = face(name));
    this.text.placeholder = `Say something as ${name}`;
    this.link.emit(error => {
      if (error) { this.#wrong(error); return; }
      this.settled = true;
      this.#enable();
      drawRoom();
    }, "join", ROOM);
  }

  #enter(name) {
    this.members.add(name);
    if (name !== this.name) this.#aside(`${name} came in`);
    drawRoom();
  }

  #leave(name) {
    if (this.members.delete(name)) this.#aside(`${name} left`);
    drawRoom();
  }

  // ---- What happens to its connection. ----

  #choose(config) {
    this.element.querySelector(".made").textContent = made(config, this.client);
    return able(config, this.client) && this.client;
  }

  #change(state, facts) {
    Object.assign(this, { settled: false, absent: state === "absent", over: state === "over", asked: new Map() });
    if (facts.config) this.config = facts.config;
    this.element.classList.toggle("absent", this.absent);
    this.element.classList.toggle("on", state === "on");
    this.why.hidden = true;
    this.log.hidden = this.form.hidden = this.absent;
    this.via.hidden = true;
    this.via.textContent = "";
    this.state.classList.remove("known");
    clearInterval(this.ticking);
    if (state === "on") {
      this.state.textContent = "Coming in";
      panels.forEach(panel => { if (panel.absent) panel.link.now(); }); // the server may be another now
    } else if (this.over) {
      this.state.textContent = "";
      this.#explain(`Closed by the server: ${facts.reason || facts.code}.`, h("button", { class: "button plain", onclick: () => this.link.now() }, "Come back"));
    } else if (this.absent) {
      const [reason, remedy] = absence(facts.config, this.client);
      this.state.textContent = "";
      this.#explain(reason, command(remedy));
    } else this.#count(facts);
    this.#enable();
    drawRoom();
  }

  #count({ until, reason }) {
    const tick = () => {
      const seconds = Math.ceil((until - Date.now()) / 1000);
      this.state.textContent = (reason ? `${reason}; ` : "") + (seconds > 0 ? `trying again in ${seconds} s` : "connecting");
    };
    tick();
    this.ticking = setInterval(tick, 500);
  }

  #explain(text, action) {
    this.why.replaceChildren(h("p", {}, text), action);
    this.why.hidden = false;
    this.log.hidden = this.form.hidden = true;
  }

  wake() { if (!this.over) this.link.now(); }

  rest() {
    if (this.absent || this.over) return;
    this.link.rest();
    this.#change("waiting", { until: 0 });
    clearInterval(this.ticking);
    this.state.textContent = "rests while the window is hidden";
  }

  // ---- What its person says. ----

  say(text) {
    const id = crypto.getRandomValues(new Uint32Array(2)).join("-"), started = performance.now();
    this.asked.set(id, null);
    this.link.emit(error => {
      if (error) { this.#wrong(error); return; }
      const line = this.asked.get(id), took = `answered in ${Math.max(1, Math.round(performance.now() - started))} ms`;
      this.asked.delete(id);
      if (line) this.#write(() => line.prepend(`${took} · `));
    }, "say", ROOM, text, id);
  }

  // ---- What is seen. ----

  #draw() {
    const { client, name } = this;
    this.face = face(name);
    this.state = h("span", { class: "state" }, "connecting");
    this.via = pill("");
    this.log = h("div", { class: "log", role: "log", "aria-label": `What ${client.title} hears`, tabindex: "0" });
    this.why = h("div", { class: "why", hidden: "" });
    this.text = h("input", { class: "field", maxlength: "2000", autocomplete: "off", "aria-label": `Say by ${client.title}`, oninput: () => this.#enable() });
    this.button = h("button", { "aria-label": `Send by ${client.title}` });
    this.button.innerHTML = ARROW;
    this.form = h("form", {}, this.text, this.button);
    this.form.onsubmit = event => {
      event.preventDefault();
      const text = this.text.value.trim();
      if (!text || !this.settled) return;
      this.text.value = "";
      this.say(text);
      this.#enable();
    };
    this.element = h("article", { class: "panel", "data-client": client.id },
      h("header", {}, this.face, h("div", {}, h("h2", {}, client.title), h("p", { class: "made" })), h("span", { class: "dot" }), h("p", { class: "via", style: `--hue: ${hue(name)}` }, this.state, this.via)),
      this.log, this.why, this.form);
  }

  #enable() {
    this.button.disabled = !this.settled || !this.text.value.trim();
    this.text.disabled = !this.settled && !this.text.value;
  }

  #show({ name, text, id, at, transport }) {
    const when = h("small", { class: "when" }, clock(at)), mine = name === this.name;
    if (mine && this.asked.has(id)) this.asked.set(id, when);
    this.#append(h("p", { class: `line${mine ? " mine" : ""}`, style: `--hue: ${hue(name)}` }, h("span", { class: "who" }, h("b", {}, name), pill(transport)), text, when));
  }

  #aside(text) { this.#append(h("p", { class: "aside" }, text)); }

  #wrong({ message }) { this.#append(h("p", { class: "aside wrong", role: "alert" }, message)); }

  #append(element) {
    this.#write(() => {
      this.log.append(element);
      while (this.log.children.length > LINES) this.log.firstChild.remove();
    });
  }

  /** Change what is in the log; who was at its end stays there. */
  #write(change) {
    const { log } = this, atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    change();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }
}

const ARROW = '<svg viewBox="0 0 20 20" fill="none" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d="M10 16V4m-5 5 5-5 5 5"/></svg>';

/** Who is in the room, as the first client that is in it has heard. */
function drawRoom() {
  const witness = panels.find(panel => panel.settled);
  $("hello").disabled = !witness;
  if (!witness) { $("facts").textContent = "Connecting"; return; }
  const { facts: { adapter, backend, version }, members, people } = witness, inside = panels.filter(panel => panel.settled);
  $("facts").replaceChildren(h("b", {}, plural(inside.length, "client")), " on one port of one Python application: ", h("b", {}, adapter), ` on ${backend}, unisock ${version}`);
  const box = $("room");
  box.rows ??= new Map();
  const rows = [...members].sort((one, other) => one.localeCompare(other)).map(name => {
    const transport = people.get(name) ?? "", known = `${name} ${transport}`;
    if (!box.rows.has(known)) box.rows.set(known, h("li", {}, face(name), h("b", {}, name), pill(transport)));
    return box.rows.get(known);
  });
  box.rows.forEach((row, known) => { if (!rows.includes(row)) box.rows.delete(known); });
  box.count ??= h("li", { class: "count" });
  box.count.textContent = `${members.size} in the ${ROOM}`;
  arrange(box, [box.count, ...rows]);
  drawTerminal(endpointOf(witness.config, { endpoint: { protocol: "eventsource" } })?.path);
}

/** What to type, to be in the room with curl. */
function drawTerminal(path) {
  if ($("terminal").hidden === !!path) { $("terminal").hidden = !path; arrangePanels(); }
  if (!path || $("commands").firstChild) return;
  const { origin } = location;
  const say = JSON.stringify({ type: 0, data: ["say", ROOM, "hello from curl"] });
  const step = (title, ...typed) => h("div", { class: "step" }, title, command(...typed));
  $("commands").append(
    step("Come in, and listen", `curl -sN '${origin}${path}?name=curl&room=${ROOM}' | tee curl.txt`, "listen"),
    step("Meanwhile, in a second terminal", `curl -d '${say}' "${origin}$(grep -om1 '${path}/.*' curl.txt)"`, "say"),
  );
}

/** Something to type, with a button that copies it. */
function command(text, name = "copy") {
  const code = h("code", { "data-command": name }, text);
  const button = h("button", { type: "button", "aria-label": `Copy: ${text}` }, "Copy");
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch { // only pages by https, or on this machine, may
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  return h("div", { class: "command" }, code, button);
}

/** As many columns as there is room for, and rows that come out even. */
function arrangePanels() {
  const number = panels.length + !$("terminal").hidden;
  const most = Math.max(1, Math.floor($("panels").clientWidth / 280)), columns = Math.ceil(number / Math.ceil(number / most));
  const even = number % columns && columns > 2 && number % (columns - 1) === 0;
  $("panels").style.setProperty("--columns", even ? columns - 1 : columns);
}

$("hello").onclick = () => panels.filter(panel => panel.settled).forEach(panel => panel.say(`Hello from ${panel.client.title}`));

// A browser opens six HTTP connections to one server, over all its windows, and some clients hold one.
let hidden = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hidden);
  if (document.hidden) hidden = setTimeout(() => panels.forEach(panel => panel.rest()), RESTS_AFTER);
  else panels.forEach(panel => panel.wake());
});

const panels = [];
(await allClients()).forEach((client, number) => panels.push(new Panel(client, number)));
$("panels").prepend(...panels.map(panel => panel.element));
new ResizeObserver(arrangePanels).observe($("panels"));

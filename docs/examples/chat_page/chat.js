// The chat: rooms, private messages, and a look at what the server does.
import { drawEmptiness, drawLine } from "./lines.js";
import { Link, able, allClients, arrange, face, h, kept, random } from "./link.js";
import { drawWays, feed, figures, status } from "./live.js";

const $ = id => document.getElementById(id);

// ---- What the page knows. ----

const secret = kept.secret("key");
let me = null;                                   // my name, once the server agreed
let current = "";                                // "#room" or "@person"
let online = false;                              // there is a connection
let settled = false;                             // … and the server knows me on it
let gone = null;                                 // since when there is no connection
const mine = new Set(JSON.parse(kept.get("rooms") ?? '["lobby"]'));  // rooms I am in, or want to be in again
const rooms = new Map();                         // room → names
const people = new Map();                        // name → transport
const talks = new Map();                         // "#room" or "@person" → {lines, unread, draft}
const outbox = new Map();                        // id → what I said that has not come back yet
const typing = new Map();                        // "room\nname" → timer

const talk = key => talks.get(key) ?? talks.set(key, { lines: [], unread: 0 }).get(key);
const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function line(key, entry) {
  const { lines } = talk(key);
  lines.push(entry);
  if (lines.length > 500) lines.shift();
  if (key === current) drawLog();
}

// ---- What the server says: one function for each event. ----

const hears = {
  welcome({ adapter, transport, backend, version, transports, rooms: members, figures: now }) {
    people.clear(); Object.entries(transports).forEach(([name, by]) => people.set(name, by));
    rooms.clear(); Object.entries(members).forEach(([room, inside]) => rooms.set(room, new Set(inside)));
    $("adapter").textContent = adapter;
    $("facts").replaceChildren(...[transport, backend, `unisock ${version}`].map(fact => h("span", {}, fact)));
    status(`Connected to ${adapter} over ${transport}`, "Connected");
    figures(now);
    link.settled();
    const name = me ?? kept.get("name");
    if (name) hello(name);
    else if (!$("door").hidden) $("name").focus();
    drawSide();
  },
  named({ name, number, transport, you }) {
    people.set(name, transport);
    feed("named", `#${number}`, `is ${name}`);
    if (you) settle(name);
    else outbox.forEach(({ key }, id) => { if (key === "@" + name) speak(id); });
    drawSide();
  },
  moved({ name, number, transport }) {
    if (name) people.set(name, transport);
    if (name === me && me !== null) $("facts").firstChild.textContent = transport;
    feed("moved", `#${number}`, `went over: ${transport}`);
    drawSide();
  },
  opened({ number, transport }) { feed("opened", "opened", `#${number} over ${transport}`); },
  closed({ name, number, code, reason }) {
    feed("closed", "closed", `${name ? `${name} (#${number})` : `#${number}`}, ${code}${reason ? ` ${reason}` : ""}`);
    if (!name) return;
    people.delete(name);
    for (const [room, members] of rooms) if (members.delete(name)) depart(room, name, "is gone");
    if (talks.has("@" + name)) line("@" + name, { aside: `${name} is gone` });
    drawSide();
  },
  joined({ room, name }) {
    if (!rooms.has(room)) rooms.set(room, new Set());
    rooms.get(room).add(name);
    feed("joined", "joined", `${name} joined ${room}`);
    if (mine.has(room) && name !== me) line("#" + room, { aside: `${name} came in` });
    drawSide();
  },
  left({ room, name }) {
    rooms.get(room)?.delete(name);
    feed("left", "left", `${name} left ${room}`);
    depart(room, name, "left");
    drawSide();
  },
  said({ room, ...message }) { arrive("#" + room, message); },
  whispered({ to, ...message }) { arrive("@" + (message.name === me ? to : message.name), message); },
  typing({ room, name }) {
    const key = `${room}\n${name}`;
    clearTimeout(typing.get(key));
    typing.set(key, setTimeout(() => { typing.delete(key); drawTyping(); }, 3500));
    drawTyping();
  },
  figures,
  refused({ status, reason }) { feed("refused", "refused", `${status} ${reason}`); },
  fault({ number, error }) { feed("fault", "fault", `#${number}, ${error}`); },
};

const link = new Link(choose, hears, connection);
let clients = [];                                // all that there are, each with the id of its file

/** The client that was asked for, or else the first that the server has an endpoint for. */
function choose(config) {
  const fit = clients.filter(client => able(config, client));
  const chosen = fit.find(({ id }) => id === kept.get("client")) ?? fit[0];
  drawWays(config, clients, chosen, ({ id }) => {
    kept.set("client", id);
    connection("changing");
    link.again();
  });
  return chosen;
}

/** The server does not take what I said. */
function refused(id, { code, message }) {
  const { key } = outbox.get(id) ?? {};
  if (code === "gone" && key) { notice(`${message}. It is sent when ${key.slice(1)} comes back.`); return; }
  notice(message);
  if (!key) return;
  outbox.delete(id);
  Object.assign(talk(key).lines.find(entry => entry.id === id) ?? {}, { waiting: false, failed: true });
  if (key === current) drawLog();
}

const told = error => { if (error) notice(error.message); };
const hello = name => link.emit(error => { if (error && !settled) { me = null; door(error.message); } }, "hello", name, secret);

/** Say, once more perhaps, what waits in the outbox. */
function speak(id) {
  const { key, text } = outbox.get(id);
  link.emit(error => { if (error) refused(id, error); }, key[0] === "#" ? "say" : "whisper", key.slice(1), text, id);
}

/** The server knows me now: go where I was, and say what waits. */
function settle(name) {
  const back = gone !== null && me !== null, waiting = outbox.size;
  me = name;
  settled = true;
  kept.set("name", name);
  $("door").hidden = true;
  $("app").inert = false;
  $("my-name").textContent = name;
  $("my-face").replaceWith(Object.assign(face(name), { id: "my-face" }));
  mine.forEach(room => link.emit(told, "join", room));
  outbox.forEach((_, id) => speak(id));
  if (back) {
    const seconds = Math.max(1, Math.round((Date.now() - gone) / 1000));
    notice(`Connected again after ${seconds} s, rooms re-joined` + (waiting ? `, ${plural(waiting, "waiting message")} sent` : ""), true);
  }
  gone = null;
  if (!current) show("#" + [...mine][0]);
}

function arrive(key, message) {
  const { lines } = talk(key);
  outbox.delete(message.id);
  // What was sent twice, for the server went away before it could answer, is shown once.
  const known = message.id && lines.find(entry => entry.id === message.id && entry.name === message.name);
  if (known) Object.assign(known, message, { waiting: false });
  else {
    lines.push({ ...message });
    if (lines.length > 500) lines.shift();
    clearTimeout(typing.get(`${key.slice(1)}\n${message.name}`));
    typing.delete(`${key.slice(1)}\n${message.name}`);
    if (key !== current || document.hidden || ($("app").dataset.tab !== "talk" && innerWidth <= 880)) talk(key).unread++;
  }
  if (key === current) { drawLog(); drawTyping(); }
  drawSide();
}

function depart(room, name, how) {
  if (mine.has(room) && name !== me) line("#" + room, { aside: `${name} ${how}` });
  if (!rooms.get(room)?.size && !mine.has(room)) rooms.delete(room);
}

function connection(state, facts = {}) {
  online = state === "on";
  document.body.classList.toggle("on", online);
  settled = false;
  if (!online) { people.clear(); rooms.clear(); gone ??= Date.now(); }
  clearInterval(connection.timer);
  if (state !== "on") {
    const { code, reason } = facts;
    if (code) feed("closed", "closed", `this page, ${code}${reason ? ` ${reason}` : ""}`);
  }
  if (state === "over") {
    status("Disconnected");
    notice(`The server closed this connection: ${facts.reason || facts.code}.`, false, "Come back");
  } else if (state === "waiting") {
    const count = () => {
      const seconds = Math.max(0, Math.ceil((facts.until - Date.now()) / 1000));
      status(seconds ? `Trying again in ${seconds} s` : "Connecting");
      if (me) notice(`The server is away. ${seconds ? `Trying again in ${seconds} s.` : "Trying now."} What you write is sent then.`, false, "Try now");
    };
    count();
    connection.timer = setInterval(count, 500);
  }
  if (state === "absent") {
    status("No way in");
    link.later();
  }
  drawSide();
}

// ---- What I do. ----

function show(key) {
  // What is half written stays with whom it was written to.
  if (talks.has(current)) talk(current).draft = $("text").value;
  current = key;
  $("text").value = talk(key).draft ?? "";
  grow();
  talk(key).unread = 0;
  tab("talk");
  drawSide(); drawLog(); drawTyping();
  if (matchMedia("(pointer: fine)").matches) $("text").focus();
}

function join(room) {
  mine.add(room);
  remember();
  if (settled) link.emit(told, "join", room);
  show("#" + room);
}

function leave(room) {
  mine.delete(room);
  remember();
  talks.delete("#" + room);
  outbox.forEach(({ key }, id) => { if (key === "#" + room) outbox.delete(id); });
  if (settled) link.emit(told, "leave", room);
  if (!rooms.get(room)?.size) rooms.delete(room);
  const next = [...mine][0];
  if (next) show("#" + next);
  else { current = ""; $("text").value = ""; drawSide(); drawLog(); }
}

const remember = () => kept.set("rooms", JSON.stringify([...mine]));

function say(text) {
  const id = random(), key = current;
  outbox.set(id, { key, text });
  line(key, { name: me, text, id, at: Date.now() / 1000, waiting: true });
  if (settled) speak(id);
}

function door(problem) {
  $("door").hidden = false;
  $("app").inert = true;
  $("wrong").textContent = problem;
  $("name").value ||= kept.get("name") ?? "";
  $("name").focus();
  $("name").select();
}

$("enter").onsubmit = event => {
  event.preventDefault();
  const name = $("name").value.trim();
  $("wrong").textContent = "";
  kept.set("name", name);
  if (online) hello(name);
  else $("wrong").textContent = "The server is away; you go in as soon as it is back.";
};
$("create").onsubmit = event => {
  event.preventDefault();
  const room = event.target.room.value.trim();
  event.target.reset();
  if (room) join(room);
};
$("leave").onclick = () => leave(current.slice(1));
$("compose").onsubmit = event => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || !current) return;
  if (outbox.size >= 100) { notice("A hundred messages wait already. This one stays here until some are sent."); return; }
  $("text").value = "";
  grow();
  say(text);
};
$("text").onkeydown = event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("compose").requestSubmit(); }
};
let lastTyping = 0;
$("text").oninput = () => {
  grow();
  if (settled && current[0] === "#" && Date.now() - lastTyping > 2000 && $("text").value) {
    lastTyping = Date.now();
    link.emit(() => {}, "typing", current.slice(1));
  }
};
function grow() {
  const box = $("text");
  box.style.height = "auto";
  box.style.height = Math.min(160, Math.max(46, box.scrollHeight + 2)) + "px";
  $("compose").querySelector("button").disabled = !box.value.trim();
}
function tab(name) {
  $("app").dataset.tab = name;
  document.querySelectorAll("#tabs [data-tab]").forEach(button => button.setAttribute("aria-current", button.dataset.tab === name));
  if (name === "talk" && current) { talk(current).unread = 0; drawSide(); $("log").scrollTop = $("log").scrollHeight; }
}
document.querySelectorAll("#tabs [data-tab]").forEach(button => { button.onclick = () => tab(button.dataset.tab); });
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  link.now();
  if (current) { talk(current).unread = 0; drawSide(); }
});

// ---- What is seen. ----

function notice(text, good = false, action = "") {
  const box = $("notice"), button = box.querySelector("button");
  clearTimeout(notice.timer);
  box.hidden = false;
  box.classList.toggle("good", good);
  const words = box.querySelector("span");
  if (words.textContent !== text) words.textContent = text;
  button.hidden = !action;
  button.textContent = action;
  button.onclick = () => link.now();
  if (!action) notice.timer = setTimeout(() => { box.hidden = true; }, 6000);
}

/** Rows stay the same elements while what they show changes: a click or the focus is never lost. */
function row(list, key, outside, onclick, ...children) {
  list.rows ??= new Map();
  if (!list.rows.has(key)) list.rows.set(key, h("li", {}, h("button")));
  const button = list.rows.get(key).firstChild;
  button.className = "row" + (outside ? " outside" : "");
  button.setAttribute("aria-current", key === current);
  button.onclick = onclick;
  button.replaceChildren(...children.filter(Boolean));
  return list.rows.get(key);
}

const label = (title, text, by) => h("span", { class: "what" }, h("b", {}, title), h("small", {}, text), by ? h("small", { class: "by" }, by) : null);
const badge = number => number ? h("span", { class: "badge", "aria-label": `${number} unread` }, number) : null;
const called = names => names.map(name => name === me ? "you" : name).join(", ");

function drawSide() {
  const names = [...new Set([...mine, ...rooms.keys()])].sort((a, b) => mine.has(b) - mine.has(a) || a.localeCompare(b));
  arrange($("rooms"), names.map(room => {
    const key = "#" + room, inside = called([...rooms.get(room) ?? []]), inIt = mine.has(room);
    return row($("rooms"), key, !inIt, () => inIt ? show(key) : join(room),
      h("span", { class: "hash", "aria-hidden": "true" }, "#"), label(room, inside || (online ? "empty" : "waiting")),
      inIt ? badge(talks.get(key)?.unread) : h("span", { class: "join" }, "Join"));
  }));
  const known = new Set([...people.keys(), ...[...talks.keys()].filter(key => key[0] === "@").map(key => key.slice(1))]);
  known.delete(me);
  $("alone").hidden = known.size > 0;
  arrange($("people"), [...known].sort((a, b) => a.localeCompare(b)).map(name => {
    const key = "@" + name, where = [...rooms].filter(([, members]) => members.has(name)).map(([room]) => room);
    return row($("people"), key, !people.has(name), () => show(key),
      face(name), label(name, !people.has(name) ? "not here" : where.length ? `in ${where.join(", ")}` : "in no room", people.get(name)),
      badge(talks.get(key)?.unread));
  }));
  const unread = [...talks.values()].reduce((sum, { unread }) => sum + unread, 0);
  $("tab-badge").hidden = !unread;
  $("tab-badge").textContent = unread;
  document.title = (unread ? `(${unread}) ` : "") + "unisock chat";
  $("count").textContent = [...rooms.values()].filter(members => members.size).length;
  drawHead();
}

function drawHead() {
  const [kind, name] = [current[0], current.slice(1)];
  $("leave").hidden = kind !== "#";
  $("title").textContent = current ? kind === "#" ? name : `${name}, in private` : "No room";
  const inside = [...rooms.get(name) ?? []];
  $("members").textContent = !current ? "Join a room, or make one"
    : kind === "@" ? people.has(name) ? "Only the two of you see this" : "Not here at present"
    : inside.length ? `${inside.length === 1 ? "1 person" : `${inside.length} people`}: ${called(inside)}` : online ? "" : "Waiting for the server";
  $("text").placeholder = kind === "@" ? `Message ${name} in private` : current ? `Message ${name}` : "";
  $("text").disabled = !current;
}

function drawLog() {
  const box = $("log"), atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  const lines = current ? talk(current).lines : [];
  const elements = lines.map((entry, index) => drawLine(entry, lines[index - 1], lines[index + 1], me));
  arrange(box, lines.some(entry => entry.text) ? elements : [drawEmptiness(current), ...elements.slice(-3)]);
  if (atEnd || lines.at(-1)?.name === me) box.scrollTop = box.scrollHeight;
}

function drawTyping() {
  const names = [...typing.keys()].filter(key => current === "#" + key.split("\n")[0]).map(key => key.split("\n")[1]);
  $("typing").textContent = !names.length ? "" : names.length > 2 ? "Several people are typing…" : `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing…`;
}

tab("talk");
drawSide();
drawLog();
$("name").value = kept.get("name") ?? "";
clients = await allClients();
link.open();

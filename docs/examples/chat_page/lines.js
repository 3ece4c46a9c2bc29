// What a conversation looks like.
import { clock, face, h, hue, pill } from "./link.js";

const TOGETHER = 300; // s between lines of one person that are shown as one

/** What somebody said, or an aside; `before` and `after` are its neighbours. */
export function drawLine(entry, before, after, me) {
  if (entry.aside) return entry.element ??= h("p", { class: "aside" }, entry.aside);
  const joins = (one, other) => one && other && one.name === other.name && one.transport === other.transport && Math.abs(one.at - other.at) < TOGETHER;
  const element = entry.element ??= h("article", { class: "fresh", style: `--hue: ${hue(entry.name)}` }, face(entry.name),
    h("div", { class: "bubble" }, h("span", { class: "who" }, h("b", {}, entry.name), pill("")), entry.text, h("span", { class: "when" })));
  const state = entry.failed ? "not delivered" : entry.waiting ? "waiting" : clock(entry.at), first = !joins(before, entry);
  const classes = { first, last: !joins(entry, after), mine: entry.name === me, waiting: entry.waiting, failed: entry.failed };
  element.classList.add("say");
  Object.entries(classes).forEach(([name, on]) => element.classList.toggle(name, !!on));
  element.querySelector(".who").hidden = !first;
  element.querySelector(".when").textContent = state;
  element.querySelector(".transport").textContent = entry.transport ?? "";
  element.querySelector(".transport").hidden = !entry.transport;
  return element;
}

const hollow = (icon, title, text) => h("div", { class: "empty" }, icon, h("h2", {}, title), h("p", {}, text));

/** In place of lines, where there are none: in a room, with a person, or nowhere. */
export function drawEmptiness(current) {
  const [kind, name] = [current[0], current.slice(1)], hash = h("span", { class: "hash", "aria-hidden": "true" }, "#");
  if (!current) return hollow(hash, "You are in no room", "Pick one on the side, or make a new one. A room is there as long as somebody is in it.");
  if (kind === "@") return hollow(face(name), `You and ${name}`, "Nobody else sees what you write here.");
  return hollow(hash, `It is quiet in ${name}`, "Say something, and everyone in the room has it at once.");
}

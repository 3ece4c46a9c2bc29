// What the server does, beside the chat: how this page is connected, figures, and events.
import { able, absence, arrange, h } from "./link.js";

const $ = id => document.getElementById(id);
const EVENTS = 200; // that are kept
let rates = Array(60).fill(0), rate = 0;

export function status(text, short = text) {
  $("door-status").textContent = text;
  $("live-status").textContent = short;
}

export function figures(facts) {
  Object.entries(facts).forEach(([id, value]) => { $(id).textContent = value; });
  rate = facts.rate;
}

export function feed(kind, word, text) {
  $("feed").prepend(h("li", { class: kind }, h("time", {}, new Date().toLocaleTimeString([], { hourCycle: "h23" })), h("span", {}, h("i", {}, word), " " + (word === kind && text.includes(` ${word} `) ? text.replace(` ${word} `, " → ") : text))));
  while ($("feed").children.length > EVENTS) $("feed").lastChild.remove();
}

/** How to come: a button for each client, at the door and beside the figures. */
export function drawWays(config, clients, chosen, choose) {
  document.querySelectorAll(".ways").forEach(box => arrange(box, clients.map(client => {
    box.buttons ??= new Map();
    if (!box.buttons.has(client.id)) box.buttons.set(client.id, h("button", { type: "button" }, client.title));
    const button = box.buttons.get(client.id);
    button.disabled = !able(config, client);
    button.title = button.disabled ? absence(config, client).join(" ") : "";
    button.setAttribute("aria-pressed", client === chosen);
    button.onclick = () => { if (client !== chosen) choose(client); };
    return button;
  })));
}

setInterval(() => { // the last minute of messages a second
  rates = [...rates.slice(1), document.body.classList.contains("on") ? rate : 0];
  const top = Math.max(5, ...rates), points = rates.map((value, x) => `${x} ${19 - value / top * 17}`).join("L");
  const [under, over] = $("spark").children;
  over.setAttribute("d", "M" + points);
  under.setAttribute("d", `M0 20L${points}L59 20Z`);
}, 1000);

'use strict';
// node fallback_client.js LIBRARY URL COUNT [upgrade]: what a page does that leaves the choice of a
// transport to the client library. It says so many words and waits for as many echoes; prints these,
// and the transport that it ended up with. With `upgrade`, engine.io-client says the second half
// when it has gone over to a WebSocket.
const [, , library, url, count, upgrade] = process.argv;
const words = Array.from({ length: Number(count) }, (_, number) => `word ${number}`);
const heard = [];

function hear(word, transport) {
  heard.push(word);
  if (heard.length !== words.length) return;
  console.log(JSON.stringify({ transport: transport(), heard }));
  process.exit(0); // the clients leave timers behind
}

function give_up(why) {
  console.log(JSON.stringify({ transport: null, heard, why: String(why) }));
  process.exit(0);
}

if (library === 'sockjs') {
  const SockJS = require('sockjs-client');
  // The least time for a transport: it goes by that of the first response, which may be too short.
  const socket = new SockJS(url, null, { timeout: 1500 });
  socket.onopen = () => words.forEach((word) => socket.send(word));
  socket.onmessage = (event) => hear(event.data, () => socket.transport);
  socket.onclose = (event) => give_up(event.reason);
} else {
  const { Socket } = require('engine.io-client');
  const { origin, pathname } = new URL(url);
  const socket = new Socket(origin, { path: pathname });
  const say = (some) => some.forEach((word) => socket.send(word));
  const first = upgrade ? words.length / 2 : words.length;
  socket.on('open', () => say(words.slice(0, first)));
  socket.on('upgrade', () => say(words.slice(first)));
  socket.on('message', (data) => hear(data, () => socket.transport.name));
  socket.on('close', give_up);
}

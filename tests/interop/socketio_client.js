'use strict';
// What a page does with socket.io-client, step by step. The same code runs in Node and in a browser,
// with client 4 and with client 2; it gives back what it saw, and the test judges.

var BYTES = [0, 1, 2, 255];

function bytes() { return new Uint8Array(BYTES).buffer; }

// Binary data are written as {"binary": [1, 2, 3]}.
function plain(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    var view = ArrayBuffer.isView(value) ? value : new Uint8Array(value);
    return { binary: Array.prototype.slice.call(view) };
  }
  if (Array.isArray(value)) { return value.map(plain); }
  if (value && typeof value === 'object') {
    var copy = {};
    Object.keys(value).forEach(function (key) { copy[key] = plain(value[key]); });
    return copy;
  }
  return value;
}

function ask(socket) {
  var args = Array.prototype.slice.call(arguments, 1);
  return new Promise(function (resolve) {
    args.push(function () { resolve(plain(Array.prototype.slice.call(arguments))); });
    socket.emit.apply(socket, args);
  });
}

function once(emitter, name) {
  return new Promise(function (resolve) { emitter.once(name, resolve); });
}

function open(io, url, order, parser) {
  return io(url + (order.namespace || '/'), {
    path: order.path || '/socket.io',
    transports: order.transports,
    auth: order.auth,
    parser: order.parser && parser,
    forceNew: true,
    reconnection: Boolean(order.reconnect),
    reconnectionDelay: 1
  });
}

// Connect, wait for the change over to a WebSocket, speak in every way, and leave or be sent away.
async function talk(io, url, order, parser) {
  var seen = { messages: [] };
  var socket = open(io, url, order, parser);
  socket.on('message', function (data) { seen.messages.push(plain(data)); });
  socket.on('who', function (what, answer) { seen.asked = plain(what); answer('Ada', bytes()); });
  await once(socket, 'connect');
  seen.id = socket.id;
  var engine = socket.io.engine;
  if (order.upgrade && engine.transport.name !== 'websocket') { await once(engine, 'upgrade'); }
  seen.echo = await ask(socket, 'echo', 1, 'ünï 😀', { n: [null, true] });
  seen.bytes = await ask(socket, 'echo', bytes(), { deep: [bytes()] });
  seen.turn = await ask(socket, 'turn', bytes());
  for (var number = 0; number < 100; number += 1) { socket.send(number); }
  socket.send(bytes());
  while (seen.messages.length < 101) { await once(socket, 'message'); }
  var tick = once(socket, 'tick');
  (socket.volatile || socket).emit('volatile');
  seen.tick = await tick;
  seen.transport = engine.transport.name;
  var end = once(socket, 'disconnect');
  if (order.end) { socket.emit('bye', order.end); } else { socket.disconnect(); }
  seen.end = await end;
  socket.io.engine.close();
  return seen;
}

// Knock, and be refused.
async function knock(io, url, order, parser) {
  var socket = open(io, url, order, parser);
  var refused = once(socket, 'connect_error');
  var old = once(socket, 'error'); // client 2
  var error = await Promise.race([refused, old]);
  var seen = { message: error.message || error, data: error.data };
  socket.close();
  return seen;
}

// Two namespaces on one connection.
async function share(io, url, order) {
  var manager = new io.Manager(url, { path: '/socket.io', transports: order.transports });
  var one = manager.socket('/');
  var other = manager.socket('/chat', order.query ? {} : { auth: { name: 'Ada' } });
  await Promise.all([once(one, 'connect'), once(other, 'connect')]);
  var seen = { one: await ask(one, 'where'), other: await ask(other, 'where') };
  other.disconnect();
  seen.still = await ask(one, 'where');
  manager.engine.close();
  return seen;
}

// Be cut off, and come back.
async function recover(io, url, order) {
  var socket = open(io, url, order);
  var seen = { recovered: [], ids: [], news: [] };
  socket.on('connect', function () {
    seen.recovered.push(socket.recovered);
    seen.ids.push(socket.id);
  });
  socket.on('news', function (number) { seen.news.push(number); });
  await once(socket, 'connect');
  await ask(socket, 'follow');
  for (var cut = 0; cut < 2; cut += 1) {
    var back = once(socket, 'connect');
    socket.io.engine.transport.ws.terminate(); // as when a cable is pulled
    await back;
    await ask(socket, 'follow');
  }
  socket.disconnect();
  return seen;
}

var CASES = { talk: talk, knock: knock, share: share, recover: recover };

async function visit(io, url, orders, parser) {
  var seen = [];
  for (var order of orders) { seen.push(await CASES[order.do](io, url, order, parser)); }
  return seen;
}

if (typeof module !== 'undefined' && require.main === module) {
  // node socketio_client.js URL ORDERS VERSION; prints what was seen as JSON.
  var library = require(process.argv[4] === '2' ? 'socket.io-client-2' : 'socket.io-client');
  var msgpack = require('socket.io-msgpack-parser');
  visit(library, process.argv[2], JSON.parse(process.argv[3]), msgpack).then(function (seen) {
    console.log(JSON.stringify(seen));
    // Some timers of the client never end.
    setTimeout(function () { process.exit(0); }, 200).unref();
  });
}

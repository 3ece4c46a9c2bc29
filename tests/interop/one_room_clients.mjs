// node one_room_clients.mjs http://127.0.0.1:PORT COUNT
//
// Nine kinds of client enter one room. When all are there, each says COUNT numbers and hears those
// of all. Prints, as JSON, whom each of them heard and whether each sender's numbers came in order.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { EventSource } from 'eventsource';

const require = createRequire(import.meta.url);
const [base, count] = [process.argv[2], Number(process.argv[3])];
const wsBase = base.replace(/^http/, 'ws');
const envelope = (name, ...args) => JSON.stringify({ type: 0, data: [name, ...args] });

// Each kind of client as three functions: it calls `hear(name, ...args)` for an event, and returns
// how to say one.
const kinds = {
  ws(hear) {
    const socket = new (require('ws'))(`${wsBase}/ws`);
    socket.on('message', (data) => hear(...JSON.parse(data).data));
    return (...event) => socket.send(envelope(...event));
  },

  'faye-websocket'(hear) {
    const socket = new (require('faye-websocket').Client)(`${wsBase}/ws`);
    socket.on('message', ({ data }) => hear(...JSON.parse(data).data));
    return (...event) => socket.send(envelope(...event));
  },

  websocket(hear) {
    const client = new (require('websocket').client)();
    let connection;
    client.on('connect', (opened) => {
      connection = opened;
      connection.on('message', ({ utf8Data }) => hear(...JSON.parse(utf8Data).data));
    });
    client.connect(`${wsBase}/ws`);
    return (...event) => connection.sendUTF(envelope(...event));
  },

  EventSource(hear) {
    const source = new EventSource(`${base}/events`);
    let address;
    let posts = Promise.resolve();
    source.addEventListener('post', ({ data }) => { address = new URL(data, base); });
    source.onmessage = ({ data }) => hear(...JSON.parse(data).data);
    return (...event) => {
      posts = posts.then(() => fetch(address, { method: 'POST', body: envelope(...event) }));
    };
  },

  'sockjs-client'(hear) {
    const socket = new (require('sockjs-client'))(`${base}/sockjs`, null, {
      transports: 'xhr-streaming',
    });
    socket.onmessage = ({ data }) => hear(...JSON.parse(data).data);
    return (...event) => socket.send(envelope(...event));
  },

  'engine.io-client'(hear) {
    const { Socket } = require('engine.io-client');
    const socket = new Socket(base, { path: '/engine.io/', transports: ['polling'] });
    socket.on('message', (data) => hear(...JSON.parse(data).data));
    return (...event) => socket.send(envelope(...event));
  },

  'socket.io-client'(hear) {
    const socket = require('socket.io-client').io(base);
    socket.on('begin', () => hear('begin'));
    socket.on('said', (...args) => hear('said', ...args));
    return (...event) => socket.emit(...event);
  },

  primus(hear) {
    const Primus = require('primus').createSocket({
      transformer: 'websockets',
      pathname: '/primus',
      plugin: { emitter: require('primus-emitter') },
    });
    const primus = new Primus(base);
    primus.on('begin', () => hear('begin'));
    primus.on('said', (...args) => hear('said', ...args));
    return (...event) => primus.send(...event);
  },

  'websocket-multiplex'(hear) {
    const code = readFileSync(require.resolve('websocket-multiplex/multiplex_client.js'), 'utf8');
    const WebSocketMultiplex = new Function(`${code}; return WebSocketMultiplex;`)();
    const socket = new (require('sockjs-client'))(`${base}/topics`, null, {
      transports: 'websocket',
    });
    const channel = new WebSocketMultiplex(socket).channel('one');
    channel.onmessage = ({ data }) => hear(...JSON.parse(data).data);
    return (...event) => channel.send(envelope(...event));
  },
};

const names = Object.keys(kinds);
const heard = Object.fromEntries(names.map((name) => [name, {}]));
let missing = names.length * names.length * count;

function leave() {
  console.log(JSON.stringify(heard));
  process.exit(0); // most of these clients would come back
}

for (const name of names) {
  const say = kinds[name]((event, who, number) => {
    if (event === 'begin') {
      for (let next = 0; next < count; next += 1) say('say', name, next);
      return;
    }
    const from = (heard[name][who] ??= { count: 0, inOrder: true });
    from.inOrder &&= number === from.count;
    from.count += 1;
    missing -= 1;
    if (!missing) setTimeout(leave, 100); // what comes twice would come now
  });
}

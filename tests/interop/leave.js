'use strict';
// Runs the clients of a page of the documentation: node leave.js URL STEPS. STEPS is JSON, a list of
// {code, lines}: each runs until it has logged so many lines. Prints all lines as JSON.

const { readFileSync } = require('fs');
const Primus = require('primus');
const SockJS = require('sockjs-client');
const WebSocket = require('ws');

const multiplex = readFileSync(require.resolve('websocket-multiplex/multiplex_client.js'), 'utf8');

const [url, steps] = [process.argv[2], JSON.parse(process.argv[3])];
const libraries = {
  Primus: Primus.createSocket({
    transformer: 'websockets',
    parser: 'json',
    pathname: '/primus',
    plugin: { emitter: require('primus-emitter'), multiplex: require('primus-multiplex') }
  }),
  SockJS,
  WebSocket,
  WebSocketMultiplex: new Function(`${multiplex}; return WebSocketMultiplex;`)()
};

function run({ code, lines }) {
  const said = [];
  return new Promise((resolve) => {
    const log = (line) => {
      // It goes on living, and may hear of the steps after its own.
      if (said.length < lines) { said.push(line); }
      if (said.length === lines) { resolve(said); }
    };
    const here = code.replaceAll('127.0.0.1:8000', new URL(url).host);
    new Function(...Object.keys(libraries), 'console', here)(...Object.values(libraries), { log });
  });
}

async function main() {
  const all = [];
  for (const step of steps) { all.push(await run(step)); }
  console.log(JSON.stringify(all));
  process.exit(0);
}

main();

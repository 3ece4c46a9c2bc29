'use strict';
// What a page does with the client of sockjs/websocket-multiplex, on any socket. The same code runs
// in Node and in a browser; it gives back what it saw, and the test judges.

// One visit: subscribe to some topics, send on each, wait for as many messages, close.
//   topics  {name: [messages]}
//   closed  names of topics that the server closes, or does not know
function visit(WebSocketMultiplex, socket, order) {
  return new Promise(function (resolve) {
    var seen = { messages: {}, closed: [] };
    var multiplexer = new WebSocketMultiplex(socket);
    var open = Object.keys(order.topics).length;
    function leave(name) {
      seen.closed.push(name);
      open -= 1;
      if (!open) {
        socket.close();
      }
    }
    socket.addEventListener('close', function () { resolve(seen); });
    Object.keys(order.topics).forEach(function (name) {
      var channel = multiplexer.channel(name);
      seen.messages[name] = [];
      channel.onopen = function () {
        order.topics[name].forEach(function (message) { channel.send(message); });
      };
      channel.onmessage = function (event) {
        seen.messages[name].push(event.data);
        if (seen.messages[name].length === order.topics[name].length
            && order.closed.indexOf(name) < 0) {
          channel.close();
        }
      };
      channel.onclose = function () { leave(name); };
    });
  });
}

if (typeof module !== 'undefined' && require.main === module) {
  // node multiplex_client.js KIND URL ORDER; KIND is ws or a transport of sockjs-client.
  var path = require.resolve('websocket-multiplex/multiplex_client.js');
  var code = require('fs').readFileSync(path, 'utf8');
  var WebSocketMultiplex = new Function(code + '; return WebSocketMultiplex;')();
  var kind = process.argv[2], url = process.argv[3];
  var Socket = require(kind === 'ws' ? 'ws' : 'sockjs-client');
  var socket = kind === 'ws'
    ? new Socket(url)
    : new Socket(url, null, { transports: [kind], timeout: 10000 });
  visit(WebSocketMultiplex, socket, JSON.parse(process.argv[4])).then(function (seen) {
    console.log(JSON.stringify(seen));
    process.exit(0); // the client leaves timers behind
  });
}

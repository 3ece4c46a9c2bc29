'use strict';
// What a page does with engine.io-client, step by step. The same code runs in Node and in a
// browser, with the client for revision 4 and with the one for revision 3; it gives back what it
// saw, and the test judges.

// Binary messages are written as {"binary": [1, 2, 3]}.
function pack(message) {
  return typeof message === 'string' ? message : new Uint8Array(message.binary).buffer;
}

function unpack(data) {
  if (typeof data === 'string') { return data; }
  return { binary: Array.prototype.slice.call(new Uint8Array(data)) };
}

// One visit: connect, send, wait for as many messages as are expected, close.
//   transports  those that the client may use, in order
//   upgrade     wait for the change over to a WebSocket, and send the second half only then
//   send        messages
//   expect      how many messages to wait for
//   close       close with then; without it, the server closes
function visit(open, url, order) {
  return new Promise(function (resolve) {
    var seen = { messages: [], transports: [], id: null, error: null, close: null };
    var socket = open(url, {
      path: order.path,
      transports: order.transports,
      forceBase64: Boolean(order.base64)
    });
    socket.binaryType = 'arraybuffer';
    var half = order.upgrade ? Math.floor(order.send.length / 2) : order.send.length;
    function enough() {
      if (order.close && seen.messages.length === order.expect) { socket.close(); }
    }
    function send(messages) {
      messages.forEach(function (message) { socket.send(pack(message)); });
    }
    socket.on('open', function () {
      seen.id = socket.id;
      seen.transports.push(socket.transport.name);
      send(order.send.slice(0, half));
      enough();
    });
    socket.on('upgrade', function (transport) {
      seen.transports.push(transport.name);
      send(order.send.slice(half));
    });
    socket.on('message', function (data) {
      seen.messages.push(unpack(data));
      enough();
    });
    socket.on('error', function (error) { seen.error = String(error.message || error); });
    socket.on('close', function (reason) {
      seen.close = reason;
      resolve(seen);
    });
  });
}

if (typeof module !== 'undefined') {
  // For run.js: (URL, order, revision) => what was seen.
  module.exports = function (url, order, revision) {
    var library = require(revision === 3 ? 'engine.io-client-3' : 'engine.io-client');
    var open = library.Socket && revision !== 3
      ? function (url, options) { return new library.Socket(url, options); }
      : library;
    return visit(open, url, order);
  };
}

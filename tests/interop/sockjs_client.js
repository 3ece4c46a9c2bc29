'use strict';
// What a page does with sockjs-client, step by step, on one transport. The same code runs in Node
// and in a browser; it gives back what it saw, and the test judges.

// One visit: connect, send, wait for as many messages as are expected, close.
//   transport  the only one that the client may use
//   send       messages
//   expect     how many messages to wait for
//   close      [code, reason] to close with then; without it, the server closes
//   timeout    the least time, in milliseconds, that a transport gets to connect
function visit(SockJS, url, order) {
  return new Promise(function (resolve) {
    var seen = { messages: [], transport: null, close: null };
    var sock = new SockJS(url, null, { transports: [order.transport], timeout: order.timeout });
    function enough() {
      if (order.close && seen.messages.length === order.expect) {
        sock.close(order.close[0], order.close[1]);
      }
    }
    sock.onopen = function () {
      seen.transport = sock.transport;
      order.send.forEach(function (message) { sock.send(message); });
      enough();
    };
    sock.onmessage = function (event) {
      seen.messages.push(event.data);
      enough();
    };
    sock.onclose = function (event) {
      seen.close = { code: event.code, reason: event.reason, wasClean: event.wasClean };
      resolve(seen);
    };
  });
}

if (typeof module !== 'undefined') {
  // For run.js: (URL, order) => what was seen.
  module.exports = function (url, order) {
    return visit(require('sockjs-client'), url, order);
  };
}

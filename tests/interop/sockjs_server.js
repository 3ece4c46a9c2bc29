'use strict';
// npm's SockJS server. Prints its port; /echo echoes and closes on "close", /only_http has no
// WebSocket, and its responses are short.
const http = require('http');
const sockjs = require('sockjs');

const server = http.createServer();
function serve(prefix, options) {
  const service = sockjs.createServer({ log: function () {}, ...options });
  service.on('connection', function (connection) {
    connection.on('data', function (message) {
      if (message === 'close') {
        connection.close(4567, 'as you wish');
      } else {
        connection.write(message);
      }
    });
  });
  service.installHandlers(server, { prefix });
}
serve('/echo', {});
serve('/only_http', { websocket: false, response_limit: 1000 });
server.listen(0, '127.0.0.1', function () {
  console.log(server.address().port);
});
process.stdin.on('end', () => process.exit(0)).resume();

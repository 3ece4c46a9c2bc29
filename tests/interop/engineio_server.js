'use strict';
// A server of npm's engine.io that echoes. It prints its port, and ends with its standard input.
// Options for engine.io come as JSON in the first argument.
const http = require('node:http').createServer();
const options = JSON.parse(process.argv[2] || '{}');
if (options.refuse) {
  options.allowRequest = (request, answer) => answer('no entry', false);
}
const server = require('engine.io').attach(http, options);

server.on('connection', (socket) => {
  socket.on('message', (data) => {
    if (data === 'close') socket.close();
    else if (data === 'transport') socket.send(socket.transport.name);
    else socket.send(data);
  });
});

http.listen(0, '127.0.0.1', () => console.log(http.address().port));
process.stdin.on('end', () => process.exit(0)).resume();

'use strict';
// A server of npm's socket.io. It prints its port, and ends with its standard input.
// Options for socket.io come as JSON in the first argument; "msgpack" is its parser.
const http = require('node:http').createServer();
const options = JSON.parse(process.argv[2] || '{}');
if (options.parser === 'msgpack') { options.parser = require('socket.io-msgpack-parser'); }
const { Server } = require('socket.io');
const io = new Server(http, options);

io.of('/members').use((socket, next) => {
  if (socket.handshake.auth.token === 'secret') { next(); return; }
  const error = new Error('members only');
  error.data = { join: 'here' };
  next(error);
});

for (const name of ['/', '/chat', '/members']) {
  io.of(name).on('connection', (socket) => {
    socket.join('all');
    socket.emit('welcome', name, socket.recovered, socket.handshake.auth);
    socket.on('message', (data) => socket.send(data));
    socket.on('echo', (...args) => args.pop()(...args));
    socket.on('turn', (what, answer) => socket.emit('who', what, answer));
    socket.on('leave', () => socket.disconnect());
    socket.on('cut', () => {
      socket.conn.transport.socket.terminate();
      io.of(name).to('all').emit('news', 1);
    });
  });
}

http.listen(0, '127.0.0.1', () => console.log(http.address().port));
process.stdin.on('end', () => process.exit(0)).resume();

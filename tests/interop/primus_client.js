'use strict';
// What a page does with a Primus client and its plugins. The same code runs in Node and in a
// browser; it gives back what it saw, and the test judges.

var EVENTS = ['open', 'close', 'end', 'error', 'offline', 'reconnect scheduled', 'reconnected'];

// One visit. `order` has:
//   plugins  "emitter" (with primus-multiplex and primus-responder), or "emit" (with substream)
//   data     payloads to be echoed
//   cut      let the server cut the connection in between, and come back
//   restart  wait until the server is another, and come back
function visit(Primus, url, order) {
  var seen = { events: [], echoes: [], news: [], pongs: 0, closed: 0 };
  var primus = new Primus(url, {
    reconnect: { min: 20, max: 200, retries: 100 },
    timeout: 20000,
    pingTimeout: 10000,
    transport: order.transport || {}
  });
  var emitter = order.plugins === 'emitter';

  function until(name, check) {
    return new Promise(function (resolve) {
      primus.on(name, function look(value) {
        if (!check || check(value)) {
          primus.removeListener(name, look);
          resolve(value);
        }
      });
    });
  }

  function ask() {
    var asked = Array.prototype.slice.call(arguments);
    return new Promise(function (resolve) { primus.send.apply(primus, asked.concat(resolve)); });
  }

  // A payload that comes back as {echo: payload}.
  function echo(payload) {
    primus.write(payload);
    return until('data', function (data) { return data && 'echo' in data; }).then(function (data) {
      seen.echoes.push(data.echo);
    });
  }

  function speakOn(channel, payload) {
    channel.write(payload);
    return new Promise(function (resolve) {
      channel.on('data', function hear(data) {
        if (data && data.on) {
          channel.removeListener('data', hear);
          seen.news.push(data);
          resolve();
        }
      });
    });
  }

  async function plugins() {
    var told = until('told');
    if (emitter) {
      primus.on('sum', function (a, b, answer) { answer(a + b); });
      seen.sum = await ask('add', 20, 1);
      primus.send('tell', 'x');
      seen.told = await told;
      seen.request = await new Promise(function (resolve) {
        primus.writeAndWait({ tea: true }, resolve);
      });
      primus.on('request', function (data, done) { done(data + 1); });
      seen.asked = await ask('ask me', 41);
    } else {
      primus.emit('tell', 'x');
      seen.told = await told;
    }
  }

  async function channels() {
    var open = emitter ? 'channel' : 'substream';
    var closed = primus[open]('closed');
    var over = new Promise(function (resolve) { closed.on('end', resolve); });
    closed.write('let me in');
    await over;
    seen.closed += 1;
    var news = primus[open]('news');
    await speakOn(news, 'first');
    if (emitter) {
      seen.double = await new Promise(function (resolve) { news.send('double', 4, resolve); });
    }
    return news;
  }

  async function run() {
    EVENTS.forEach(function (name) {
      primus.on(name, function (value) {
        seen.events.push(name === 'error' ? 'error: ' + value.message : name);
      });
    });
    primus.on('outgoing::pong', function () { seen.pongs += 1; });
    await until('open');
    for (var payload of order.data) { await echo(payload); }
    seen.id = await new Promise(function (resolve) { primus.id(resolve); });
    var room = until('data', function (data) { return data && 'room' in data; });
    primus.write('shout');
    seen.room = (await room).room;
    await plugins();
    var news = await channels();
    while (seen.pongs < 3) { await until('outgoing::pong'); }
    if (order.cut || order.restart) {
      var back = until('open');
      primus.write(order.cut ? 'cut' : 'restart');
      await back;
      await echo('back');
      await speakOn(news, 'back'); // primus-multiplex begins its channels again
    }
    var end = until('end');
    primus.write('close');
    await end;
    return seen;
  }

  return run();
}

// A client that nobody lets in: what it hears.
function knock(Primus, url, transport) {
  return new Promise(function (resolve) {
    var primus = new Primus(url, { strategy: false, transport: transport || {} });
    var heard = [];
    primus.on('error', function (error) { heard.push('error'); });
    primus.on('open', function () { heard.push('open'); });
    primus.on('end', function () { resolve(heard); });
  });
}

if (typeof module !== 'undefined' && require.main === module) {
  // node primus_client.js URL ORDERS; prints what was seen as JSON, by the names of the orders.
  // An order has a pathname and a transformer besides.
  var Primus = require('primus');
  var orders = JSON.parse(process.argv[3]);
  var sets = {
    emitter: ['primus-emitter', 'primus-rooms', 'primus-responder', 'primus-multiplex'],
    emit: ['primus-emit', 'primus-rooms', 'substream'],
    none: []
  };
  var msgpack = {
    encoder: function (data, done) { done(null, require('notepack.io').encode(data)); },
    decoder: function (data, done) { done(null, require('notepack.io').decode(data)); }
  };
  Promise.all(Object.keys(orders).map(function (name) {
    var order = orders[name];
    var plugin = {};
    sets[order.plugins].forEach(function (each) { plugin[each] = require(each); });
    var Socket = Primus.createSocket({
      transformer: order.transformer,
      pathname: order.pathname,
      parser: order.parser === 'msgpack' ? msgpack : 'json',
      plugin: plugin
    });
    var go = order.plugins === 'none' ? knock : visit;
    return go(Socket, process.argv[2], order).then(function (seen) { return [name, seen]; });
  })).then(function (all) {
    console.log(JSON.stringify(Object.fromEntries(all)));
    process.exit(0); // clients leave timers behind
  });
}

'use strict';
// A server of npm's primus: node primus_server.js OPTIONS, as JSON; prints its port, and ends with
// its standard input. Of the options, `plugins` names the plugins' packages, `refuse` lets nobody
// in, and the rest is for Primus.

const http = require('http');
const Primus = require('primus');

const { plugins, refuse, ...options } = JSON.parse(process.argv[2]);
if (options.parser === 'msgpack') {
  const { encode, decode } = require('notepack.io');
  options.parser = {
    encoder: (data, done) => done(null, encode(data)),
    decoder: (data, done) => done(null, decode(data))
  };
}
if (refuse) {
  options.authorization = (request, done) => done({ message: 'members only', statusCode: 402 });
}
const server = http.createServer();
const primus = new Primus(server, { pathname: '/there', ...options });
plugins.forEach((name) => primus.plugin(name, require(name)));
const having = (name) => plugins.includes(name);

// primus-emitter and primus-multiplex leave what is theirs among the data.
function isOfPlugin(data) {
  return data && (Array.isArray(data) || Array.isArray(data.data));
}

primus.on('connection', (spark) => {
  spark.on('data', (data) => {
    switch (data) {
      case 'close': return spark.end();
      case 'cut': return spark.end(undefined, { reconnect: true });
      case 'pulse': return spark.on('heartbeat', () => spark.write({ beat: true }));
      case 'who': return spark.write({ query: spark.query, name: spark.headers['x-name'] });
      default:
        if (!isOfPlugin(data)) { spark.write({ echo: data }); }
    }
  });
  if (having('primus-emitter')) {
    spark.on('double', (number, answer) => answer(2 * number));
    spark.on('ask me', (a, b) => spark.send('sum', a, b, (sum) => spark.send('summed', sum)));
  }
  if (having('primus-emit')) {
    spark.on('tell', (word) => spark.emit('told', word.toUpperCase()));
  }
  if (having('primus-responder')) {
    spark.on('request', (data, done) => done({ 'you said': data }));
  }
  if (having('substream')) {
    const news = spark.substream('news');
    news.on('data', (data) => (data === 'end' ? news.end() : news.write({ news: data })));
  }
});

if (having('primus-multiplex')) {
  primus.channel('news').on('connection', (channel) => {
    channel.on('data', (data) => {
      if (data === 'end') {
        channel.end();
      } else if (!isOfPlugin(data)) {
        channel.write({ news: data });
      }
    });
    if (having('primus-emitter')) {
      channel.on('double', (number, answer) => answer(2 * number));
    }
  });
}

server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.on('end', () => process.exit(0)).resume();

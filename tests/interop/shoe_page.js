// No 'use strict' here: it would reach the library, which calls a constructor without new.
// What a page does with shoe, which is bundled with the sockjs-client of its day: pipe a text
// through a stream, and give back what came out of it.
var shoe = require('shoe/browser.js');

window.pipe = function (path, chunks) {
  return new Promise(function (resolve) {
    var stream = shoe(path), heard = '';
    stream.on('data', function (data) { heard += data; });
    stream.on('end', function () { resolve(heard); });
    chunks.forEach(function (chunk) { stream.write(chunk); });
  });
};

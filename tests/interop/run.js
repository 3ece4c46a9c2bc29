'use strict';
// Runs a function of a client library's tests as often as it is told to, so that Node need not be
// started, and the library be loaded, for each of them:
//   node run.js FILE
// A line {"id": 1, "args": […]} on standard input calls what the file exports. When its promise is
// kept, {"id": 1, "result": …} is printed; when it is broken, {"id": 1, "error": "…"}.
const { resolve } = require('path');
const { createInterface } = require('readline');

const work = require(resolve(process.argv[2]));
const lines = createInterface({ input: process.stdin });

lines.on('line', async (line) => {
  const { id, args } = JSON.parse(line);
  let answer;
  try {
    answer = { id, result: await work(...args) };
  } catch (error) {
    answer = { id, error: String((error && error.stack) || error) };
  }
  console.log(JSON.stringify(answer));
});
lines.on('close', () => process.exit());

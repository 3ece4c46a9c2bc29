'use strict';
// Builds the browser library of Primus, with the npm packages of the project that asks for it.
// On standard input, as JSON:
//   modules   the folder whose node_modules has them
//   packages  those that are needed
//   plugins   {name: package} of Primus' plugins, in order
//   options   of the Primus server that the library is to fit
//   authorization  whether that server turns clients away
// On standard output, as JSON: {library} or {missing}.

const { EventEmitter } = require('events');
const fs = require('fs');
const { createRequire } = require('module');
const path = require('path');

const plan = JSON.parse(fs.readFileSync(0, 'utf8'));
const from = createRequire(path.resolve(plan.modules, 'package.json'));

function isMissing(name) {
  try {
    from.resolve(name);
    return false;
  } catch (error) {
    return true;
  }
}

function build() {
  const Primus = from('primus');
  const options = { ...plan.options };
  if (plan.authorization) {
    options.authorization = (request, done) => done();
  }
  const primus = new Primus(new EventEmitter(), options);
  for (const [name, plugin] of Object.entries(plan.plugins)) {
    primus.plugin(name, from(plugin));
  }
  return primus.library();
}

const missing = plan.packages.filter(isMissing);
const answer = missing.length ? { missing } : { library: build() };
process.stdout.write(JSON.stringify(answer), () => process.exit(0));

// node eventsource_client.mjs URL COUNT: listens with npm's eventsource, prints what it heard, and
// leaves after COUNT events. Named events count too.
import { EventSource } from 'eventsource';

const [url, count] = process.argv.slice(2);
const source = new EventSource(url);
const heard = [];
setInterval(() => {}, 1000); // while the client waits before it comes back, nothing else is awake
function take(event) {
  heard.push({ name: event.type, data: event.data, id: event.lastEventId });
  if (heard.length === Number(count)) {
    source.close();
    console.log(JSON.stringify(heard));
    process.exit(0);
  }
}
['message', 'tick', 'close'].forEach((name) => source.addEventListener(name, take));

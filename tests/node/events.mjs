// Somebody else's parser of event streams. Each line of standard input is one stream: a JSON list of base64 pieces. What the
// streams give goes as one JSON list to standard output.

import { createInterface } from "node:readline";
import { createParser } from "eventsource-parser";

const seen = [];
for await (const line of createInterface({ input: process.stdin })) {
  const events = [];
  let id = null;
  let retry = null;
  const parser = createParser({
    // It tells the id of an event alone: what the standard keeps from event to event is kept here.
    onId: (value) => (id = value),
    onEvent: ({ event, data }) => events.push([event ?? "message", data, id]),
    onRetry: (value) => (retry = value),
  });
  // The byte order mark is left to the parser.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for (const piece of JSON.parse(line)) parser.feed(decoder.decode(Buffer.from(piece, "base64"), { stream: true }));
  seen.push({ events, id, retry });
}
console.log(JSON.stringify(seen));

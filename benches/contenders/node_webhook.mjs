// Verifies a webhook with Replicate's client for Node. Takes options as JSON on standard input, and prints one line of JSON: the
// microseconds of one check, and its CPU microseconds.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

// The tests install it.
const { validateWebhook } = createRequire(new URL("../../tests/node/package.json", import.meta.url))("replicate");

const options = JSON.parse(await text(process.stdin));
const { secret } = options;
const [id, timestamp, signature] = ["id", "timestamp", "signature"].map((name) => options.headers[`webhook-${name}`]);
const [body, forged] = [options.body, options.forged].map((each) => Buffer.from(each));

// A server has the body as bytes.
const check = (body) => validateWebhook({ id, timestamp, signature, body: body.toString(), secret });

if (!(await check(body)) || (await check(forged))) {
  throw new Error("wrong answer");
}

async function block(calls) {
  const started = performance.now();
  for (let call = 0; call < calls; call++) {
    await check(body);
  }
  return performance.now() - started;
}

async function blocks(calls, seconds) {
  const times = [];
  const end = performance.now() + seconds * 1e3;
  while (times.length === 0 || performance.now() < end) {
    times.push(await block(calls));
  }
  return times;
}

// V8 compiles the code while it runs.
await blocks(10, options.warm_up);
const calls = Math.max(1, Math.round(10 / (await block(10))));
const before = process.cpuUsage();
const times = await blocks(calls, options.seconds);
const { user, system } = process.cpuUsage(before);
const median = times.sort((one, other) => one - other)[times.length >> 1];
console.log(JSON.stringify({ us: (median / calls) * 1e3, cpu_us: (user + system) / (times.length * calls) }));

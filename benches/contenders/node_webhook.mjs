// How long Node's official client takes for one check of a webhook: one JSON object on one line. What it is given comes as JSON
// on standard input.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

// It is where the tests have it.
const { validateWebhook } = createRequire(new URL("../../tests/node/package.json", import.meta.url))("replicate");

const given = JSON.parse(await text(process.stdin));
const { secret } = given;
const [id, timestamp, signature] = ["id", "timestamp", "signature"].map((name) => given.headers[`webhook-${name}`]);
const [body, forged] = [given.body, given.forged].map((each) => Buffer.from(each));

// As a server has it, the body is bytes.
const check = (body) => validateWebhook({ id, timestamp, signature, body: body.toString(), secret });

if (!(await check(body)) || (await check(forged))) {
  throw new Error("wrong answer");
}

async function block(calls) {
  const began = performance.now();
  for (let call = 0; call < calls; call++) {
    await check(body);
  }
  return performance.now() - began;
}

async function blocks(calls, seconds) {
  const times = [];
  const end = performance.now() + seconds * 1e3;
  while (times.length === 0 || performance.now() < end) {
    times.push(await block(calls));
  }
  return times;
}

// The code is compiled while it runs.
await blocks(10, given.warm_up);
const calls = Math.max(1, Math.round(10 / (await block(10))));
const before = process.cpuUsage();
const times = await blocks(calls, given.seconds);
const { user, system } = process.cpuUsage(before);
const median = times.sort((one, other) => one - other)[times.length >> 1];
console.log(JSON.stringify({ us: (median / calls) * 1e3, cpu_us: (user + system) / (times.length * calls) }));

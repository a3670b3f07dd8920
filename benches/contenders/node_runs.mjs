// How many models Node's official client runs in a second, and reads the output of: one JSON object on one line. What it is given
// comes as JSON on standard input.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

// It is where the tests have it.
const Replicate = createRequire(new URL("../../tests/node/package.json", import.meta.url))("replicate");

const given = JSON.parse(await text(process.stdin));
const replicate = new Replicate({ auth: given.token, baseUrl: given.base });

async function run() {
  const output = await replicate.run(given.model, { input: given.input });
  const blob = await output.blob();
  if (blob.size !== given.size) {
    throw new Error("wrong answer");
  }
}

async function load(seconds) {
  const end = performance.now() + seconds * 1e3;
  let count = 0;
  const runs = async () => {
    do {
      await run();
      count++;
    } while (performance.now() < end);
  };
  await Promise.all(Array.from({ length: given.in_flight }, runs));
  return count;
}

// The code is compiled while it runs.
await load(Math.max(given.warm_up, 0.5));
const before = process.cpuUsage();
const began = performance.now();
const count = await load(given.seconds);
const took = (performance.now() - began) / 1e3;
const { user, system } = process.cpuUsage(before);
// In KB.
const peak = process.resourceUsage().maxRSS;
console.log(JSON.stringify({ per_second: count / took, cpu_us: (user + system) / count, peak_mb: (peak * 1024) / 1e6 }));
process.exit(0);

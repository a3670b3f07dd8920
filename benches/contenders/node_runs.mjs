// Runs a model with Replicate's client for Node and reads its output. Takes options as JSON on standard input, and prints one line
// of JSON: runs per second, CPU microseconds of a run, peak memory.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

// The tests install it.
const Replicate = createRequire(new URL("../../tests/node/package.json", import.meta.url))("replicate");

const options = JSON.parse(await text(process.stdin));
const replicate = new Replicate({ auth: options.token, baseUrl: options.base });

async function run() {
  const output = await replicate.run(options.model, { input: options.input });
  const blob = await output.blob();
  if (blob.size !== options.size) {
    throw new Error("wrong answer");
  }
}

async function load(seconds) {
  const end = performance.now() + seconds * 1e3;
  let count = 0;
  const repeat = async () => {
    do {
      await run();
      count++;
    } while (performance.now() < end);
  };
  await Promise.all(Array.from({ length: options.in_flight }, repeat));
  return count;
}

// V8 compiles the code while it runs.
await load(Math.max(options.warm_up, 0.5));
const before = process.cpuUsage();
const started = performance.now();
const count = await load(options.seconds);
const duration = (performance.now() - started) / 1e3;
const { user, system } = process.cpuUsage(before);
// KB.
const peak = process.resourceUsage().maxRSS;
console.log(JSON.stringify({ per_second: count / duration, cpu_us: (user + system) / count, peak_mb: (peak * 1024) / 1e6 }));
process.exit(0);

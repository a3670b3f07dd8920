// One job for Node's client, named by the first argument. What it is given comes as JSON on standard input, and what it saw
// goes as JSON to standard output: the tests hold that against what they expect.

import { webcrypto } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import Replicate, { parseProgressFromLogs, validateWebhook } from "replicate";

const given = JSON.parse(await text(process.stdin));
const replicate = new Replicate({ auth: given.token, baseUrl: given.baseUrl });

async function read(file) {
  const blob = await file.blob();
  return { url: file.url().href, type: blob.type, text: await blob.text() };
}

async function message(promise) {
  try {
    return await promise;
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
}

const jobs = {
  async run() {
    const { version } = given;
    const seen = [];
    const slow = { input: { seconds: 0.05, steps: 2 }, wait: { mode: "poll", interval: 10 } };
    return {
      text: await replicate.run("acme/shout", { input: { text: "hi" } }),
      ofVersion: await replicate.run(`acme/shout:${version}`, { input: { text: "hi" } }),
      items: await replicate.run("acme/tokens", { input: { text: "a b" } }),
      blob: await replicate.run("acme/name", { input: { file: new Blob(["12345"]) } }),
      buffer: await replicate.run("acme/name", { input: { file: Buffer.from("123") } }),
      url: await replicate.run("acme/reverse", { input: { file: Buffer.from("abc") } }),
      polled: await replicate.run("acme/slow", slow, ({ status }) => seen.push(status)),
      seen: [seen.at(0), seen.at(-1)],
      failure: await message(replicate.run("acme/fail", { input: {} })),
      invalid: await message(replicate.run("acme/shout", { input: { text: 1 } })),
    };
  },

  async files() {
    const one = await replicate.run("acme/reverse", { input: { file: Buffer.from("abc") } });
    const many = await replicate.run("acme/pieces", { input: { file: Buffer.from("ab") } });
    return { one: await read(one), many: await Promise.all(many.map(read)) };
  },

  async stream() {
    const seen = {};
    for (const name of ["acme/tokens", "acme/pieces", "acme/fail"]) {
      const input = name === "acme/tokens" ? { text: "a b\nc" } : name === "acme/pieces" ? { file: Buffer.from("ab") } : {};
      seen[name] = [];
      try {
        for await (const { event, data } of replicate.stream(name, { input })) {
          seen[name].push([event, typeof data === "string" ? data : await read(data)]);
        }
      } catch (error) {
        seen[name].push(["thrown", error.message]);
      }
    }
    return seen;
  },

  async predictions() {
    const create = (options) => replicate.predictions.create({ model: "acme/slow", ...options });
    const first = await create({ input: { seconds: 0.02, steps: 2 } });
    const ended = await replicate.wait(first, { interval: 10 });
    const held = await replicate.predictions.create({ version: given.version, input: { text: "x" }, wait: 5 });
    const { id } = await create({ input: { seconds: 60 } });
    const canceled = await replicate.predictions.cancel(id);
    const again = await replicate.predictions.get(id);
    const listed = (await replicate.predictions.list()).results.map((each) => each.id);
    return {
      first: first.status,
      ended: [ended.status, ended.output, parseProgressFromLogs(ended)],
      held: held.output,
      canceled: [canceled.status, again.status, listed.includes(id)],
    };
  },

  async paginate() {
    const input = { text: "x" };
    const made = await Promise.all(
      Array.from({ length: 101 }, () => replicate.predictions.create({ model: "acme/shout", input })),
    );
    const pages = { predictions: [], models: [] };
    for await (const page of replicate.paginate(replicate.predictions.list)) pages.predictions.push(page);
    for await (const page of replicate.paginate(replicate.models.list)) pages.models.push(page);
    return {
      made: made.map((each) => each.id),
      predictions: pages.predictions.map((page) => page.map((each) => each.id)),
      models: pages.models.map((page) => page.map((each) => `${each.owner}/${each.name}`)),
    };
  },

  async uploads() {
    const file = await replicate.files.create(new Blob(["hello"], { type: "text/plain" }), { of: { n: 1 } });
    const got = await replicate.files.get(file.id);
    const listed = (await replicate.files.list()).results.map((each) => each.id);
    const deleted = await replicate.files.delete(file.id);
    const gone = await message(replicate.files.get(file.id));
    return { got, listed: listed.includes(file.id), deleted, gone };
  },

  async webhook() {
    const { key: secret } = await replicate.webhooks.default.secret.get();
    const deliveries = [];
    const server = createServer(async (request, response) => {
      const { headers } = request;
      deliveries.push({ headers, body: await text(request) });
      response.writeHead(204).end();
      server.emit("delivery");
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const delivered = once(server, "delivery");
    const webhook = `http://127.0.0.1:${server.address().port}/`;
    await replicate.run("acme/shout", { input: { text: "hi" }, webhook, webhook_events_filter: ["completed"] });
    await delivered;
    server.close();
    server.closeAllConnections();
    const [{ headers, body }] = deliveries;
    const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature } = headers;
    return {
      secret,
      prediction: JSON.parse(body),
      byHeaders: await validateWebhook({ headers: new Headers(headers), body }, secret, webcrypto),
      byParts: await validateWebhook({ id, timestamp, signature, body, secret }, webcrypto),
      forged: await validateWebhook({ id, timestamp, signature, body: `${body} `, secret }, webcrypto),
    };
  },

  async models() {
    const made = await replicate.models.create("local", given.name, { visibility: "private", hardware: "cpu" });
    const versions = await replicate.models.versions.list("acme", "shout");
    const version = await replicate.models.versions.get("acme", "shout", given.version);
    return {
      made,
      got: await replicate.models.get("acme", "shout"),
      found: (await replicate.models.search("Upper case")).results.map((each) => each.name),
      versions: versions.results.map((each) => each.id),
      version: version.openapi_schema.components.schemas.Input.required,
      collections: (await replicate.collections.list()).results.map((each) => each.slug),
      collection: (await replicate.collections.get("loud")).models.map((each) => each.name),
      hardware: (await replicate.hardware.list()).map((each) => each.sku),
      account: await replicate.accounts.current(),
    };
  },

  async deployments() {
    const { name, version } = given;
    const configuration = { hardware: "cpu", min_instances: 0, max_instances: 1 };
    const made = await replicate.deployments.create({ name, model: "acme/shout", version, ...configuration });
    const changed = await replicate.deployments.update("local", name, { max_instances: 2 });
    const got = await replicate.deployments.get("local", name);
    const listed = (await replicate.deployments.list()).results.map((each) => each.name);
    const deleted = await replicate.deployments.delete("local", name);
    await replicate.deployments.create({ name, model: "acme/shout", version, ...configuration });
    const prediction = await replicate.deployments.predictions.create("local", name, { input: { text: "hi" }, wait: true });
    const used = await message(replicate.deployments.delete("local", name));
    return { made, changed, got, listed, deleted, output: prediction.output, used };
  },

  async trainings() {
    const destination = `local/${given.name}`;
    await replicate.models.create("local", given.name, { visibility: "private", hardware: "cpu" });
    const options = { destination, input: { words: "a b" } };
    const made = await replicate.trainings.create("acme", "tuned", given.version, options);
    let ended = made;
    while (!["succeeded", "failed"].includes(ended.status)) ended = await replicate.trainings.get(made.id);
    const canceled = await replicate.trainings.cancel(made.id);
    const listed = (await replicate.trainings.list()).results.map((each) => each.id);
    const output = await replicate.run(ended.output.version, { input: { prompt: "hi" } });
    return { ended: ended.status, after: canceled.status, listed: listed.includes(made.id), output };
  },

  async account() {
    return replicate.accounts.current();
  },
};

console.log(JSON.stringify(await jobs[process.argv[2]]()));

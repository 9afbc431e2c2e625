// The Node half of program.py and ledger.py: the same requests, the same answers, the same files.
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

// Modules lie outside of the tree, where `import` does not look.
export const load = createRequire(process.env.BENCH_NODE_MODULES);
export const url = process.env.BENCH_URL;

const BULK = 1000;
const BULK_BYTES = 8_000_000;
const FRAME = '{"n": 1000000, "ms": 100, "pad": ""}'.length;
const NOISE = noise(1_000_000);
const FLUSH_MS = 10;

// One clock for all processes of a machine, as Python's time.monotonic() has it; hrtime itself is slower to read.
const offset = Number(process.hrtime.bigint()) / 1e9 - performance.now() / 1000;
const now = () => offset + performance.now() / 1000;

let seen = [];

export function saw(number) {
  if (seen.push(number, now()) === 2 && !flushing) flushing = setInterval(flush, FLUSH_MS);
}
let flushing;

function flush() {
  if (!seen.length) return;
  appendFileSync(`${process.env.BENCH_LEDGER}/${process.pid}.seen`, Buffer.from(Float64Array.from(seen).buffer));
  seen = [];
}
process.on("exit", flush);

export async function handle(payload) {
  saw(payload.n);
  if (payload.ms) await sleep(payload.ms);
}

export async function run(client, work) {
  const [role, slots] = process.argv.slice(2);
  if (role === "worker") return work(slots ? Number(slots) : undefined);
  for await (const line of createInterface({ input: process.stdin })) {
    const { verb, ...request } = JSON.parse(line);
    process.stdout.write(JSON.stringify(await verbs[verb](client, request)) + "\n");
  }
  process.exit(0);
}

const verbs = {
  async install(client) {
    await client.install();
    return null;
  },
  async many(client, { first, count, size, ms, delay }) {
    const step = Math.max(1, Math.min(BULK, Math.floor(BULK_BYTES / size)));
    const batches = [];
    for (let start = first; start < first + count; start += step)
      batches.push(payloads(start, Math.min(step, first + count - start), size, ms));
    const began = now();
    for (const batch of batches) await client.many(batch, delay);
    return now() - began;
  },
  async single(client, { first, count, size }) {
    const all = payloads(first, count, size, 0);
    const began = now();
    for (const one of all) await client.one(one);
    return now() - began;
  },
  async paced(client, { first, count, rate, jitter }) {
    const [due, called] = [[], []];
    const start = now() + 0.01;
    for (let number = 0; number < count; number++) {
      const moment = start + (number + Math.random() * jitter) / rate;
      await sleep(Math.max(0, (moment - now()) * 1000));
      due.push(moment);
      called.push(now());
      await client.one(payload(first + number, 100, 0));
    }
    return { due, called };
  },
};

const payloads = (first, count, size, ms) => Array.from({ length: count }, (_, n) => payload(first + n, size, ms));

function payload(n, size, ms) {
  const start = (n * 61) % (NOISE.length / 4);
  return { n, ms, pad: NOISE.slice(start, start + Math.max(0, size - FRAME)) };
}

// Filling that hardly compresses, the same in every run.
function noise(length) {
  const bytes = Buffer.alloc((length * 3) / 4);
  for (let at = 0, state = 1; at < bytes.length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes.toString("base64");
}

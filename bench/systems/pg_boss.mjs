// pg-boss's client and worker.
import { handle, load, run, url } from "./program.mjs";

const { PgBoss } = load("pg-boss");

const QUEUE = "bench";
const BATCH = 1000;
const WORKERS = 2;

function opened(options) {
  const boss = new PgBoss({ connectionString: url, ...options });
  boss.on("error", console.error);
  return boss;
}

let boss;
const client = {
  async install() {
    boss = opened({ supervise: false, schedule: false });
    await boss.start();
    await boss.createQueue(QUEUE, { notify: true });
  },
  one: (payload) => boss.send(QUEUE, payload),
  many: (payloads, delay) =>
    boss.insert(QUEUE, payloads.map((data) => (delay ? { data, startAfter: delay } : { data }))),
};

async function work(slots) {
  const worker = opened({ useListenNotify: true, schedule: false });
  await worker.start();
  const options = {
    batchSize: slots ? Math.ceil(slots / WORKERS) : BATCH,
    localConcurrency: WORKERS,
    pollingIntervalSeconds: 0.5,
    notifyPollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
  };
  await worker.work(QUEUE, options, (jobs) => Promise.all(jobs.map((job) => handle(job.data))));
  process.on("SIGTERM", async () => {
    await worker.stop({ graceful: true });
    process.exit(0);
  });
}

await run(client, work);

// graphile-worker's client and worker.
import { handle, load, run, url } from "./program.mjs";

const { Logger, makeWorkerUtils, run: runWorker, runMigrations } = load("graphile-worker");

const JOBS = 24;
const quiet = new Logger(() => () => {});
const at = (delay) => (delay ? new Date(Date.now() + delay * 1000) : undefined);
let utils;

const client = {
  async install() {
    await runMigrations({ connectionString: url, logger: quiet });
    utils = await makeWorkerUtils({ connectionString: url, logger: quiet });
  },
  one: (payload) => utils.addJob("bench", payload),
  many: (payloads, delay) =>
    utils.addJobs(payloads.map((payload) => ({ identifier: "bench", payload, runAt: at(delay) }))),
};

async function work(slots) {
  const runner = await runWorker({
    preset: {
      worker: {
        connectionString: url,
        concurrentJobs: slots ?? JOBS,
        maxPoolSize: JOBS + 1,
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
        logger: quiet,
      },
    },
    taskList: { bench: handle },
  });
  await runner.promise;
  process.exit(0);
}

await run(client, work);

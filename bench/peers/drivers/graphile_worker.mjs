// Graphile Worker: as it comes, and with the settings of its performance page (`batched`).

import { Logger, makeWorkerUtils, run } from 'graphile-worker'
import { main, startTogether, Tally } from './driver.mjs'

const CONCURRENCY = 24
const logger = new Logger(() => () => {})

async function clients (connectionString, count) {
  const utils = await makeWorkerUtils({ connectionString, maxPoolSize: count, logger })
  return {
    one: payload => utils.addJob('noop', payload),
    many: payloads => utils.addJobs(payloads.map(payload => ({ identifier: 'noop', payload })))
  }
}

async function setup ({ dsn }) {
  const utils = await makeWorkerUtils({ connectionString: dsn, logger })
  await utils.migrate()
  await utils.release()
}

async function work (order) {
  const tally = new Tally(order)
  const worker = {
    connectionString: order.dsn,
    concurrentJobs: CONCURRENCY,
    maxPoolSize: CONCURRENCY + 1,
    ...(order.batched
      ? { localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 }
      : {})
  }
  await startTogether()
  await run({
    preset: { worker },
    noHandleSignals: true,
    logger,
    taskList: { noop: async payload => tally.ran(payload.n, payload.sent) }
  })
}

main({ setup, clients, work })

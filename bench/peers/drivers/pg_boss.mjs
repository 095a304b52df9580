// pg-boss.

import { PgBoss } from 'pg-boss'
import { main, startTogether, Tally } from './driver.mjs'

const QUEUE = 'noop'
const BATCH = 1000

async function clients (connectionString, count) {
  const boss = new PgBoss({ connectionString, max: count, supervise: false, schedule: false })
  boss.on('error', console.error)
  await boss.start()
  return {
    one: payload => boss.send(QUEUE, payload),
    many: payloads => boss.insert(QUEUE, payloads.map(data => ({ data })))
  }
}

async function setup ({ dsn }) {
  const boss = new PgBoss({ connectionString: dsn })
  boss.on('error', console.error)
  await boss.start()
  await boss.createQueue(QUEUE, { notify: true })
  await boss.stop({ graceful: false })
}

async function work (order) {
  const tally = new Tally(order)
  const boss = new PgBoss({ connectionString: order.dsn, useListenNotify: true })
  boss.on('error', console.error)
  await boss.start()
  await startTogether()
  const options = { batchSize: BATCH, burstWhenBatchFull: true, priority: false, orderByCreatedOn: false }
  await boss.work(QUEUE, options, async jobs => {
    for (const { data } of jobs) tally.ran(data.n, data.sent)
  })
}

main({ setup, clients, work })

// What the Node drivers have in common; see driver.py and tally.py, whose orders and files these are.
// `node NAME.mjs VERB ORDER`

import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const HEADER = 16
const FLUSH_MS = 5

export const now = () => Number(process.hrtime.bigint()) / 1e9

// Counts runs in memory; what changed goes to the file every 5 ms and at the end.
export class Tally {
  #file; #bytes; #runs; #first = 0; #total = 0; #low = Infinity; #high = -1; #waits = null; #order

  constructor (order) {
    this.#order = order
    this.#file = openSync(join(order.folder, `${process.pid}.runs`), 'w+')
    ftruncateSync(this.#file, HEADER + order.jobs)
    this.#bytes = Buffer.alloc(HEADER + order.jobs)
    this.#runs = this.#bytes.subarray(HEADER)
    setInterval(() => this.flush(), FLUSH_MS)
    process.once('SIGTERM', () => {
      this.flush()
      closeSync(this.#file)
      process.exit(0)
    })
  }

  ran (n, sent = 0) {
    if (this.#total === 0) this.#first = now()
    this.#total += 1
    this.#runs[n] += 1
    if (n < this.#low) this.#low = n
    if (n > this.#high) this.#high = n
    if (sent) {
      this.#waits ??= new Float64Array(this.#order.jobs)
      this.#waits[n] = now() - sent
    }
  }

  flush () {
    if (this.#high < 0) return
    const from = HEADER + this.#low
    writeSync(this.#file, this.#bytes, from, this.#high - this.#low + 1, from)
    this.#low = Infinity
    this.#high = -1
    if (this.#waits) {
      writeFileSync(join(this.#order.folder, `${process.pid}.waits`), Buffer.from(this.#waits.buffer))
    }
    this.#bytes.writeDoubleLE(this.#first, 0)
    this.#bytes.writeBigInt64LE(BigInt(this.#total), 8)
    writeSync(this.#file, this.#bytes, 0, HEADER, 0)
  }
}

export async function startTogether () {
  console.log('ready')
  const lines = createInterface({ input: process.stdin })
  const line = await new Promise(resolve => {
    lines.once('line', resolve)
    lines.once('close', () => resolve(null))
  })
  if (line === null) process.exit(1)
}

const text = size => {
  const length = Math.max(1, size - 22)
  if (size <= 1000) return 'x'.repeat(length)
  let made = ''
  while (made.length < length) made += Math.random().toString(16).slice(2)
  return made.slice(0, length)
}

async function enqueue (driver, order) {
  const { first, jobs, clients, batch } = order
  const filler = text(order.size)
  const connected = await driver.clients(order.dsn, clients)
  const share = Math.floor(jobs / clients)
  const client = async k => {
    const begin = first + k * share
    const end = first + (k === clients - 1 ? jobs : (k + 1) * share)
    if (batch === 1) {
      for (let n = begin; n < end; n++) await connected.one({ n, text: filler })
      return
    }
    for (let chunk = begin; chunk < end; chunk += batch) {
      const payloads = []
      for (let n = chunk; n < Math.min(end, chunk + batch); n++) payloads.push({ n, text: filler })
      await connected.many(payloads)
    }
  }
  await startTogether()
  const begun = now()
  await Promise.all(Array.from({ length: clients }, (_, k) => client(k)))
  console.log(JSON.stringify({ begun, ended: now() }))
}

async function send (driver, order) {
  const connected = await driver.clients(order.dsn, 1)
  await startTogether()
  let due = now()
  for (let n = 0; n < order.jobs; n++) {
    due += order.interval
    const left = due - now()
    if (left > 0) await new Promise(resolve => setTimeout(resolve, left * 1000))
    await connected.one({ n, text: '', sent: now() })
  }
  console.log('{}')
}

export async function main (driver) {
  const [verb, written] = process.argv.slice(2)
  const order = JSON.parse(written)
  if (verb === 'work') {
    await driver.work(order)
    return
  }
  await { setup: () => driver.setup(order), enqueue: () => enqueue(driver, order), send: () => send(driver, order) }[verb]()
  process.exit(0)
}

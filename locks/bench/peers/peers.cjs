// Node libraries as players: `node peers.cjs PEER URL KEY`.
// What a player is asked and answers is written in locks/bench/src/process.rs.
'use strict'

const readline = require('node:readline')

const LEASE_MS = 15_000
const WAIT_MS = 120_000

const now = () => Number(process.hrtime.bigint())
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)

function connect (url) {
  const { Redis } = require('ioredis')
  return new Redis(url)
}

const peers = {
  redlock (url, key) {
    const Redlock = require('redlock')
    const redlock = new Redlock([connect(url)], { retryCount: -1 })
    let lock
    return {
      acquire: async () => { lock = await redlock.lock(key, LEASE_MS) },
      release: () => lock.unlock()
    }
  },
  'redis-semaphore' (url, key) {
    const { Mutex } = require('redis-semaphore')
    const mutex = new Mutex(connect(url), key, { lockTimeout: LEASE_MS, acquireTimeout: WAIT_MS })
    return { acquire: () => mutex.acquire(), release: () => mutex.release() }
  }
}

async function pairs (lock, ms) {
  const begun = now()
  let done = 0
  while (now() - begun < ms * 1e6) {
    await lock.acquire()
    await lock.release()
    done += 1
  }
  return { pairs: done, ns: now() - begun }
}

async function contend (lock, { start, ms, hold_ms: hold }) {
  await sleep(Math.max(0, (start - now()) / 1e6))
  const begun = now()
  const grants = []
  while (now() - begun < ms * 1e6) {
    const called = now()
    await lock.acquire()
    grants.push([called, now()])
    await sleep(hold)
    await lock.release()
  }
  return { grants }
}

async function obey (lock, command) {
  switch (command.do) {
    case 'acquire':
      await lock.acquire()
      return { granted: now() }
    case 'release': {
      const called = now()
      await lock.release()
      return { called, returned: now() }
    }
    case 'pairs':
      return pairs(lock, command.ms)
    case 'contend':
      return contend(lock, command)
  }
  throw new Error(`no command ${JSON.stringify(command)}`)
}

async function main () {
  const [peer, url, key] = process.argv.slice(2)
  let lock
  try {
    lock = peers[peer](url, key)
  } catch (error) {
    say({ error: `absent: ${error.message.split('\n')[0]}` })
    return
  }
  say({ ready: true })
  for await (const line of readline.createInterface({ input: process.stdin })) {
    try {
      say(await obey(lock, JSON.parse(line)))
    } catch (error) {
      say({ error: `${error.name}: ${error.message}` })
    }
  }
  process.exit(0)
}

main()

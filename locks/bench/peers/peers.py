"""Python libraries as players: `python peers.py PEER URL KEY`.

What a player is asked and answers is written in locks/bench/src/process.rs.
"""

import asyncio
import json
import sys
import time

LEASE_S = 15
WAIT_S = 120


class RedisPy:
    """redis-py's own lock."""

    def __init__(self, url, key):
        import redis

        self.lock = redis.Redis.from_url(url).lock(key, timeout=LEASE_S)

    def acquire(self):
        if not self.lock.acquire(blocking_timeout=WAIT_S):
            raise TimeoutError("not acquired")

    def release(self):
        self.lock.release()


class Pottery:
    """pottery's Redlock, over one server."""

    def __init__(self, url, key):
        import pottery
        import redis

        masters = {redis.Redis.from_url(url)}
        self.lock = pottery.Redlock(key=key, masters=masters, auto_release_time=LEASE_S)

    def acquire(self):
        if not self.lock.acquire(timeout=WAIT_S):
            raise TimeoutError("not acquired")

    def release(self):
        self.lock.release()


class RedisFifoLock:
    """redis-fifo-lock, which is for asyncio: each call runs the loop until it is done."""

    def __init__(self, url, key):
        import redis.asyncio
        import redis_fifo_lock

        self.loop = asyncio.new_event_loop()
        self.lock = redis_fifo_lock.FifoLock(redis.asyncio.Redis.from_url(url), key, lease_ms=LEASE_S * 1000)

    def acquire(self):
        self.lease = self.loop.run_until_complete(self.lock.acquire(timeout=WAIT_S))

    def release(self):
        self.loop.run_until_complete(self.lock.release(self.lease))


class SqlalchemyDlock:
    """sqlalchemy-dlock: a lock of the session of one connection."""

    def __init__(self, url, key):
        import sqlalchemy
        import sqlalchemy_dlock

        drivers = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
        scheme, rest = url.split("://", 1)
        connection = sqlalchemy.create_engine(f"{drivers[scheme]}://{rest}").connect()
        self.lock = sqlalchemy_dlock.create_sadlock(connection, key)

    def acquire(self):
        # Without a limit it cannot take a lock on MariaDB.
        if not self.lock.acquire(timeout=WAIT_S):
            raise TimeoutError("not acquired")

    def release(self):
        self.lock.release()


PEERS = {
    "redis-py": RedisPy,
    "pottery": Pottery,
    "redis-fifo-lock": RedisFifoLock,
    "sqlalchemy-dlock": SqlalchemyDlock,
}


def pairs(lock, milliseconds):
    begun, done = time.monotonic_ns(), 0
    while time.monotonic_ns() - begun < milliseconds * 1_000_000:
        lock.acquire()
        lock.release()
        done += 1
    return {"pairs": done, "ns": time.monotonic_ns() - begun}


def contend(lock, command):
    time.sleep(max(0, command["start"] - time.monotonic_ns()) / 1e9)
    begun, grants = time.monotonic_ns(), []
    while time.monotonic_ns() - begun < command["ms"] * 1_000_000:
        called = time.monotonic_ns()
        lock.acquire()
        grants.append([called, time.monotonic_ns()])
        time.sleep(command["hold_ms"] / 1_000)
        lock.release()
    return {"grants": grants}


def obey(lock, command):
    match command["do"]:
        case "acquire":
            lock.acquire()
            return {"granted": time.monotonic_ns()}
        case "release":
            called = time.monotonic_ns()
            lock.release()
            return {"called": called, "returned": time.monotonic_ns()}
        case "pairs":
            return pairs(lock, command["ms"])
        case "contend":
            return contend(lock, command)
    raise ValueError(f"no command {command}")


def say(answer):
    print(json.dumps(answer), flush=True)


def main():
    peer, url, key = sys.argv[1:]
    try:
        lock = PEERS[peer](url, key)
    except ImportError as error:
        say({"error": f"absent: {error}"})
        return
    say({"ready": True})
    for line in sys.stdin:
        try:
            say(obey(lock, json.loads(line)))
        except Exception as error:  # whatever the library raises is its answer
            say({"error": f"{type(error).__name__}: {error}"})


main()

-- Tables of db-locks on SQLite. Every statement can be run again.
-- Names in double quotes are replaced by those of the configuration when db-locks runs this file itself.
-- Times are microseconds since 1970 by the lease clock (see the README of this store); 0 means never.

CREATE TABLE IF NOT EXISTS "db_locks_migrations" (
    version    TEXT NOT NULL,
    table_names TEXT NOT NULL,
    applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (version, table_names)
) WITHOUT ROWID;

-- One row a mutex (semaphore_key is empty) and one a slot of a semaphore (mutex_key is one_0000000003).
-- The data comes last, so that long data is not read to learn who holds the lock.
CREATE TABLE IF NOT EXISTS "mutexes" (
    tenant_id         TEXT    NOT NULL,
    semaphore_key     TEXT    NOT NULL DEFAULT '',
    mutex_key         TEXT    NOT NULL,
    slot              INTEGER NOT NULL DEFAULT 0,
    version           TEXT    NOT NULL DEFAULT '',
    fence             INTEGER NOT NULL DEFAULT 0,
    lease_duration_ms INTEGER NOT NULL,
    expires_at_us     INTEGER NOT NULL DEFAULT 0,
    owner             TEXT,
    delete_on_release INTEGER NOT NULL DEFAULT 0,
    named_by_version  INTEGER NOT NULL DEFAULT 0,
    deleted_at_us     INTEGER NOT NULL DEFAULT 0,
    created_at_us     INTEGER NOT NULL DEFAULT 0,
    updated_at_us     INTEGER NOT NULL DEFAULT 0,
    data              TEXT,
    PRIMARY KEY (tenant_id, semaphore_key, mutex_key)
) WITHOUT ROWID;

-- Finds old tombstones.
CREATE INDEX IF NOT EXISTS "mutexes_deleted" ON "mutexes" (deleted_at_us) WHERE deleted_at_us > 0;

CREATE TABLE IF NOT EXISTS "semaphores" (
    tenant_id         TEXT    NOT NULL,
    semaphore_key     TEXT    NOT NULL,
    version           TEXT    NOT NULL,
    max_size          INTEGER NOT NULL,
    lease_duration_ms INTEGER NOT NULL,
    fair_semaphore    INTEGER NOT NULL DEFAULT 0,
    fence             INTEGER NOT NULL DEFAULT 0,
    deleted_at_us     INTEGER NOT NULL DEFAULT 0,
    created_at_us     INTEGER NOT NULL DEFAULT 0,
    updated_at_us     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, semaphore_key)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS "semaphores_deleted" ON "semaphores" (deleted_at_us) WHERE deleted_at_us > 0;

-- The queues. seq is the place: AUTOINCREMENT never gives a number twice.
-- A waiter for a semaphore has an empty mutex_key, one for a mutex an empty semaphore_key.
CREATE TABLE IF NOT EXISTS "lock_waiters" (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id     TEXT    NOT NULL,
    semaphore_key TEXT    NOT NULL DEFAULT '',
    mutex_key     TEXT    NOT NULL DEFAULT '',
    ticket        TEXT    NOT NULL,
    client_id     TEXT    NOT NULL,
    deadline_us   INTEGER NOT NULL,
    UNIQUE (tenant_id, semaphore_key, mutex_key, ticket)
);

CREATE INDEX IF NOT EXISTS "lock_waiters_queue" ON "lock_waiters" (tenant_id, semaphore_key, mutex_key, seq);

-- The processes that the waiters live in: none of a process's waiters counts after its deadline.
CREATE TABLE IF NOT EXISTS "lock_waiters_clients" (
    client_id   TEXT    NOT NULL PRIMARY KEY,
    deadline_us INTEGER NOT NULL
) WITHOUT ROWID;

-- The lease clock of this boot of the machine: time since boot + offset_us.
CREATE TABLE IF NOT EXISTS "mutexes_clock" (
    id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    boot_id   TEXT    NOT NULL,
    offset_us INTEGER NOT NULL
) WITHOUT ROWID;

INSERT OR IGNORE INTO "db_locks_migrations" (version, table_names)
VALUES ('00000000000001_create_locks', '"mutexes","semaphores","lock_waiters"');

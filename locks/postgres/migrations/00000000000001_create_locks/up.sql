-- Tables of db-locks, with the default table names.
-- Safe to run again and beside running clients: nothing that exists is dropped or emptied.
-- For other table names run `db-locks migrate`, or replace mutexes, semaphores and lock_waiters wherever a quoted name begins
-- with one of them: functions and indexes are named after their table, so two installations can share a schema.

-- What has been applied here, by whichever tool.
CREATE TABLE IF NOT EXISTS db_locks_migrations (
    mutexes_table    text        NOT NULL,
    version          text        NOT NULL,
    semaphores_table text        NOT NULL,
    waiters_table    text        NOT NULL,
    applied_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (mutexes_table, version)
);

-- Mutexes (semaphore_key is '') and slots of semaphores. Names are compared byte by byte.
-- Times are microseconds since 1970 by this server's clock. No index holds a column that acquire, renew or release change,
-- and each page keeps some room, so that they rewrite rows in place.
CREATE TABLE IF NOT EXISTS "mutexes" (
    tenant_id         text COLLATE "C" NOT NULL,
    semaphore_key     text COLLATE "C" NOT NULL DEFAULT '',
    mutex_key         text COLLATE "C" NOT NULL,
    slot              integer          NOT NULL DEFAULT 0,
    version           text COLLATE "C" NOT NULL DEFAULT '',
    fence             bigint           NOT NULL DEFAULT 0,
    lease_duration_ms bigint           NOT NULL,
    expires_at_us     bigint           NOT NULL DEFAULT 0,
    data              text,
    owner             text COLLATE "C",
    delete_on_release boolean          NOT NULL DEFAULT false,
    named_by_version  boolean          NOT NULL DEFAULT false,
    deleted_at_us     bigint           NOT NULL DEFAULT 0,
    created_at_us     bigint           NOT NULL,
    updated_at_us     bigint           NOT NULL,
    PRIMARY KEY (tenant_id, semaphore_key, mutex_key)
) WITH (fillfactor = 70);

-- Tombstones, by age.
CREATE INDEX IF NOT EXISTS "mutexes_deleted" ON "mutexes" (deleted_at_us) WHERE deleted_at_us > 0;

CREATE TABLE IF NOT EXISTS "semaphores" (
    tenant_id         text COLLATE "C" NOT NULL,
    semaphore_key     text COLLATE "C" NOT NULL,
    version           text COLLATE "C" NOT NULL,
    max_size          integer          NOT NULL,
    lease_duration_ms bigint           NOT NULL,
    fair_semaphore    boolean          NOT NULL DEFAULT false,
    fence             bigint           NOT NULL DEFAULT 0,
    deleted_at_us     bigint           NOT NULL DEFAULT 0,
    created_at_us     bigint           NOT NULL,
    updated_at_us     bigint           NOT NULL,
    PRIMARY KEY (tenant_id, semaphore_key)
) WITH (fillfactor = 70);

CREATE INDEX IF NOT EXISTS "semaphores_deleted" ON "semaphores" (deleted_at_us) WHERE deleted_at_us > 0;

-- Who waits for what (mutex_key is '' in the queue of a semaphore), in the order of seq within one lock.
CREATE TABLE IF NOT EXISTS "lock_waiters" (
    seq           bigserial        NOT NULL,
    tenant_id     text COLLATE "C" NOT NULL,
    semaphore_key text COLLATE "C" NOT NULL,
    mutex_key     text COLLATE "C" NOT NULL,
    ticket        text COLLATE "C" NOT NULL,
    client_id     text COLLATE "C" NOT NULL,
    deadline_us   bigint           NOT NULL,
    PRIMARY KEY (tenant_id, semaphore_key, mutex_key, seq),
    UNIQUE (tenant_id, semaphore_key, mutex_key, ticket)
) WITH (fillfactor = 70);

-- The processes that they live in. A client whose name begins with dbl_ listens on the channel of that name.
CREATE TABLE IF NOT EXISTS "lock_waiters_clients" (
    client_id   text COLLATE "C" PRIMARY KEY,
    deadline_us bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO db_locks_migrations (mutexes_table, version, semaphores_table, waiters_table)
VALUES ('mutexes', '00000000000001', 'semaphores', 'lock_waiters')
ON CONFLICT DO NOTHING;

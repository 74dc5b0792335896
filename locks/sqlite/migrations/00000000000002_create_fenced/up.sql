-- Values that take no write with an older fencing token. Can be run again.
CREATE TABLE IF NOT EXISTS "mutexes_fenced" (
    tenant_id    TEXT    NOT NULL,
    register_key TEXT    NOT NULL,
    token        INTEGER NOT NULL,
    value        TEXT    NOT NULL,
    PRIMARY KEY (tenant_id, register_key)
) WITHOUT ROWID;

INSERT OR IGNORE INTO "db_locks_migrations" (version, table_names)
VALUES ('00000000000002_create_fenced', '"mutexes","semaphores","lock_waiters"');

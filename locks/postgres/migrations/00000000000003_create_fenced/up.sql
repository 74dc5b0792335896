-- Values that take no write with an older fencing token. Safe to run again and beside running clients.
CREATE TABLE IF NOT EXISTS "mutexes_fenced" (
    tenant_id    text COLLATE "C" NOT NULL,
    register_key text COLLATE "C" NOT NULL,
    token        bigint           NOT NULL,
    value        text             NOT NULL,
    PRIMARY KEY (tenant_id, register_key)
) WITH (fillfactor = 70);

INSERT INTO db_locks_migrations (mutexes_table, version, semaphores_table, waiters_table)
VALUES ('mutexes', '00000000000003', 'semaphores', 'lock_waiters')
ON CONFLICT DO NOTHING;

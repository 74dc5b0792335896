-- Deletes the guarded values and the tokens that guard them; locks stay.
DROP TABLE IF EXISTS "mutexes_fenced";
DELETE FROM "db_locks_migrations"
WHERE version = '00000000000002_create_fenced' AND table_names = '"mutexes","semaphores","lock_waiters"';

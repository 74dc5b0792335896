-- Deletes every lock. The list of migrations stays, since other tables of db-locks may be in it.
DROP TABLE IF EXISTS "mutexes_clock";
DROP TABLE IF EXISTS "lock_waiters_clients";
DROP TABLE IF EXISTS "lock_waiters";
DROP TABLE IF EXISTS "semaphores";
DROP TABLE IF EXISTS "mutexes";
DELETE FROM "db_locks_migrations"
WHERE version = '00000000000001_create_locks' AND table_names = '"mutexes","semaphores","lock_waiters"';

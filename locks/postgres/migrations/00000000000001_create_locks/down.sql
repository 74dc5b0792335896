-- Takes the tables of db-locks away, and all locks with them.
DROP TABLE IF EXISTS "lock_waiters_clients", "lock_waiters", "semaphores", "mutexes";
DELETE FROM db_locks_migrations WHERE mutexes_table = 'mutexes' AND version = '00000000000001';

-- Takes the functions for many operations at once away; without them each operation is a transaction of its own.
DROP FUNCTION IF EXISTS "mutexes_acquire_many", "mutexes_renew_free", "mutexes_release_many";
DELETE FROM db_locks_migrations WHERE mutexes_table = 'mutexes' AND version = '00000000000004';

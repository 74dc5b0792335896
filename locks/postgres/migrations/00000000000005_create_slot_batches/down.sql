-- Takes the functions for slots of many semaphores at once away; without them each operation on a slot is a transaction of its own.
DROP FUNCTION IF EXISTS "mutexes_slot_acquire_many", "mutexes_slot_release_many";
DELETE FROM db_locks_migrations WHERE mutexes_table = 'mutexes' AND version = '00000000000005';

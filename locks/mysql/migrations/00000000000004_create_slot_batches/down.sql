-- Takes the procedure for slots of many semaphores at once away; without it each acquire of a slot is a transaction of its own.
DROP PROCEDURE IF EXISTS `mutexes_try_slot_v1`;
DELETE FROM `db_locks_migrations` WHERE version = '00000000000004_create_slot_batches' AND mutexes_table = '`mutexes`';

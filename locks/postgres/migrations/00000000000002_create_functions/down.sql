-- Takes the functions of db-locks away; the tables and what is in them stay.
DROP FUNCTION IF EXISTS "mutexes_sem_delete", "mutexes_sem_put", "mutexes_delete", "mutexes_purge",
    "mutexes_slot_abandon", "mutexes_abandon", "mutexes_slot_wake", "mutexes_slot_release", "mutexes_release",
    "mutexes_renew_many", "mutexes_slot_renew", "mutexes_renew", "mutexes_slot_acquire", "mutexes_acquire",
    "mutexes_wake", "mutexes_enqueue", "mutexes_rank", "mutexes_beat";
DELETE FROM db_locks_migrations WHERE mutexes_table = 'mutexes' AND version = '00000000000002';

-- Takes away the procedures. No lock is forgotten, but none can be taken until they are back.
DROP PROCEDURE IF EXISTS `mutexes_place_v1`;
DROP PROCEDURE IF EXISTS `mutexes_enter_v1`;
DROP PROCEDURE IF EXISTS `mutexes_take_v1`;
DROP PROCEDURE IF EXISTS `mutexes_take_slow_v1`;
DROP PROCEDURE IF EXISTS `mutexes_take_slot_v1`;
DROP PROCEDURE IF EXISTS `mutexes_renew_v1`;
DROP PROCEDURE IF EXISTS `mutexes_release_v1`;
DROP PROCEDURE IF EXISTS `mutexes_release_slow_v1`;
DROP PROCEDURE IF EXISTS `mutexes_purge_v1`;
DROP PROCEDURE IF EXISTS `mutexes_abandon_v1`;
DROP PROCEDURE IF EXISTS `mutexes_delete_v1`;
DROP PROCEDURE IF EXISTS `mutexes_put_sem_v1`;
DROP PROCEDURE IF EXISTS `mutexes_del_sem_v1`;
DELETE FROM `db_locks_migrations` WHERE version = '00000000000002_create_procedures' AND mutexes_table = '`mutexes`';

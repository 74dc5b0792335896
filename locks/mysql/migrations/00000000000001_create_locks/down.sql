-- Takes away everything that up.sql made. All locks are forgotten, and their fencing tokens with them.
DROP PROCEDURE IF EXISTS `mutexes_place_v1`;
DROP PROCEDURE IF EXISTS `mutexes_enter_v1`;
DROP PROCEDURE IF EXISTS `mutexes_take_v1`;
DROP PROCEDURE IF EXISTS `mutexes_take_slot_v1`;
DROP PROCEDURE IF EXISTS `mutexes_renew_v1`;
DROP PROCEDURE IF EXISTS `mutexes_release_v1`;
DROP PROCEDURE IF EXISTS `mutexes_purge_v1`;
DROP PROCEDURE IF EXISTS `mutexes_abandon_v1`;
DROP PROCEDURE IF EXISTS `mutexes_delete_v1`;
DROP PROCEDURE IF EXISTS `mutexes_put_sem_v1`;
DROP PROCEDURE IF EXISTS `mutexes_del_sem_v1`;
DROP TABLE IF EXISTS `mutexes`;
DROP TABLE IF EXISTS `semaphores`;
DROP TABLE IF EXISTS `lock_waiters`;
DROP TABLE IF EXISTS `lock_waiters_clients`;
DROP TABLE IF EXISTS `db_locks_migrations`;

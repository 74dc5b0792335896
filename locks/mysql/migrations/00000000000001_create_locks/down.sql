-- Takes away the tables. All locks are forgotten, and their fencing tokens with them.
DROP TABLE IF EXISTS `mutexes`;
DROP TABLE IF EXISTS `semaphores`;
DROP TABLE IF EXISTS `lock_waiters`;
DROP TABLE IF EXISTS `lock_waiters_clients`;
DROP TABLE IF EXISTS `db_locks_migrations`;

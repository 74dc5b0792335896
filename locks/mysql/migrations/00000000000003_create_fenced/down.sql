-- Takes away the guarded values and the tokens that guard them; locks stay.
DROP TABLE IF EXISTS `mutexes_fenced`;
DELETE FROM `db_locks_migrations` WHERE version = '00000000000003_create_fenced' AND mutexes_table = '`mutexes`';

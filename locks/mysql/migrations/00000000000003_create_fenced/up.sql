-- Values that take no write with an older fencing token. It can be run again: what is there stays.
CREATE TABLE IF NOT EXISTS `mutexes_fenced` (
  tenant_id VARBINARY(128) NOT NULL,
  register_key VARBINARY(255) NOT NULL,
  token BIGINT UNSIGNED NOT NULL,
  value MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (tenant_id, register_key)
) ENGINE = InnoDB;

INSERT IGNORE INTO `db_locks_migrations` (version, mutexes_table) VALUES ('00000000000003_create_fenced', '`mutexes`');

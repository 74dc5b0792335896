-- The tables of db-locks for MySQL 8 and MariaDB 10.6+. Run by `db-locks migrate`, by Diesel (`diesel migration run`), or by
-- hand (`mysql DATABASE < up.sql`). It can be run again: what is there stays.
--
-- With other table names in the configuration, replace the names between backquotes: `mutexes`, `semaphores`,
-- `lock_waiters` and `lock_waiters_clients`. Times are microseconds since 1970 by the server's clock.

CREATE TABLE IF NOT EXISTS `mutexes` (
  tenant_id VARBINARY(128) NOT NULL,
  semaphore_key VARBINARY(255) NOT NULL DEFAULT '' COMMENT 'empty: a mutex',
  mutex_key VARBINARY(272) NOT NULL,
  slot INT UNSIGNED NOT NULL DEFAULT 0,
  version VARBINARY(128) NOT NULL DEFAULT '',
  fence BIGINT NOT NULL DEFAULT 0,
  lease_duration_ms BIGINT NOT NULL,
  expires_at_us BIGINT NOT NULL DEFAULT 0 COMMENT '0: released or never granted',
  data MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  owner VARBINARY(512) NOT NULL DEFAULT '',
  delete_on_release TINYINT NOT NULL DEFAULT 0,
  named_by_version TINYINT NOT NULL DEFAULT 0,
  queued_until_us BIGINT NOT NULL DEFAULT 0 COMMENT 'mutexes: nobody waits from then on, unless this grows',
  deleted_at_us BIGINT NOT NULL DEFAULT 0 COMMENT 'not 0: a tombstone',
  created_at_us BIGINT NOT NULL DEFAULT 0,
  updated_at_us BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, semaphore_key, mutex_key),
  KEY tombstones (deleted_at_us)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS `semaphores` (
  tenant_id VARBINARY(128) NOT NULL,
  semaphore_key VARBINARY(255) NOT NULL,
  version VARBINARY(128) NOT NULL DEFAULT '',
  max_size INT UNSIGNED NOT NULL DEFAULT 1,
  lease_duration_ms BIGINT NOT NULL DEFAULT 0,
  fair_semaphore TINYINT NOT NULL DEFAULT 0,
  fence BIGINT NOT NULL DEFAULT 0,
  queued_until_us BIGINT NOT NULL DEFAULT 0 COMMENT 'nobody waits from then on, unless this grows',
  deleted_at_us BIGINT NOT NULL DEFAULT 0 COMMENT 'not 0: a tombstone',
  created_at_us BIGINT NOT NULL DEFAULT 0,
  updated_at_us BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, semaphore_key),
  KEY tombstones (deleted_at_us)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS `lock_waiters` (
  seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  tenant_id VARBINARY(128) NOT NULL,
  semaphore_key VARBINARY(255) NOT NULL DEFAULT '',
  mutex_key VARBINARY(255) NOT NULL DEFAULT '',
  ticket VARBINARY(128) NOT NULL,
  client_id VARBINARY(64) NOT NULL,
  deadline_us BIGINT NOT NULL,
  PRIMARY KEY (seq),
  UNIQUE KEY tickets (tenant_id, semaphore_key, mutex_key, ticket),
  KEY queue (tenant_id, semaphore_key, mutex_key, seq)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS `lock_waiters_clients` (
  client_id VARBINARY(64) NOT NULL,
  deadline_us BIGINT NOT NULL,
  PRIMARY KEY (client_id)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS `db_locks_migrations` (
  version VARCHAR(64) NOT NULL,
  mutexes_table VARCHAR(64) NOT NULL,
  applied_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (version, mutexes_table)
) ENGINE = InnoDB;

INSERT IGNORE INTO `db_locks_migrations` (version, mutexes_table) VALUES ('00000000000001_create_locks', '`mutexes`');

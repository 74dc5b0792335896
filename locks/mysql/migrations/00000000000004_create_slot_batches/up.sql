-- Slots of many semaphores in one transaction (group commit). It can be run again, and beside running clients.
SET @db_locks_sql_mode = @@SESSION.sql_mode;
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION';

/*!999999 \d ;# */

-- Takes a slot by the rules of the procedure for one, or answers 0: somebody else is at the semaphore, or it is not there yet. So a
-- transaction of many waits for no semaphore. `p_flags` has 64: the caller has begun the transaction and commits it.
DROP PROCEDURE IF EXISTS `mutexes_try_slot_v1`;#
CREATE PROCEDURE `mutexes_try_slot_v1`(
  IN p_tenant VARBINARY(128), IN p_key VARBINARY(255), IN p_version VARBINARY(128), IN p_owner VARBINARY(512),
  IN p_lease_ms BIGINT, IN p_max_size INT, IN p_data MEDIUMTEXT CHARACTER SET utf8mb4, IN p_flags INT,
  IN p_client VARBINARY(64))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_locked INT DEFAULT 0;
  SELECT 1 INTO v_locked FROM `semaphores` s WHERE s.tenant_id = p_tenant AND s.semaphore_key = p_key
    FOR UPDATE SKIP LOCKED;
  IF v_locked THEN
    CALL `mutexes_take_slot_v1`(p_tenant, p_key, p_version, p_owner, p_lease_ms, p_max_size, p_data, p_flags, p_client);
  ELSE
    SELECT 0 AS status;
  END IF;
END;#

/*!999999 \d ; */

SET SESSION sql_mode = @db_locks_sql_mode;

INSERT IGNORE INTO `db_locks_migrations` (version, mutexes_table) VALUES ('00000000000004_create_slot_batches', '`mutexes`');

-- The procedures of db-locks for MySQL 8 and MariaDB 10.6+: the rules of the lock protocol, one call an operation.
--
-- One file for three readers: `db-locks migrate`, Diesel (`diesel migration run`), and the command-line client
-- (`mysql DATABASE < up.sql`). The first two send it whole. The client cuts it at its delimiter, which the comments that
-- only a client acts upon set to `;#` around the procedures; to a server that is a `;` and an empty remark.
--
-- It can be run again: procedures are made anew. With other table names in the configuration, replace the names between
-- backquotes: `mutexes` (also where a procedure's name begins with it), `semaphores`, `lock_waiters` and
-- `lock_waiters_clients`.
--
-- Times are microseconds since 1970 by the server's clock, read after the lock's row is locked. In the comments below
-- "R4" and the like are the rules of the lock protocol (`db_locks_core::protocol`).

-- Procedures keep the mode that they were made in; this one every server has.
SET @db_locks_sql_mode = @@SESSION.sql_mode;
SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION';

/*!999999 \d ;# */

-- Where a caller stands in a queue (R4): its number there (NULL: nowhere), how many live waiters are ahead, counted up to
-- the greater of `p_free` and 100, and when the first of those stops being live unless it shows life again.
DROP PROCEDURE IF EXISTS `mutexes_place_v1`;#
CREATE PROCEDURE `mutexes_place_v1`(
  IN p_tenant VARBINARY(128), IN p_semaphore VARBINARY(255), IN p_mutex VARBINARY(255), IN p_ticket VARBINARY(128),
  IN p_free INT, IN p_now BIGINT, OUT o_seq BIGINT UNSIGNED, OUT o_ahead INT, OUT o_lapse BIGINT)
  READS SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_limit INT DEFAULT GREATEST(p_free, 100);
  SET o_seq = NULL;
  SELECT w.seq INTO o_seq FROM `lock_waiters` w
    WHERE w.tenant_id = p_tenant AND w.semaphore_key = p_semaphore AND w.mutex_key = p_mutex AND w.ticket = p_ticket
      AND w.deadline_us > p_now;
  SELECT COUNT(*), MIN(a.lapse) INTO o_ahead, o_lapse FROM (
    SELECT LEAST(w.deadline_us, c.deadline_us) AS lapse
      FROM `lock_waiters` w FORCE INDEX (queue) STRAIGHT_JOIN `lock_waiters_clients` c ON c.client_id = w.client_id
      WHERE w.tenant_id = p_tenant AND w.semaphore_key = p_semaphore AND w.mutex_key = p_mutex
        AND w.seq < COALESCE(o_seq, 18446744073709551615)
        AND w.deadline_us > p_now AND c.deadline_us > p_now
      LIMIT v_limit) a;
END;#

-- Enters a queue, or stays in its place (R5). Deadlines are written with 1 s (50 ms for clients) to spare, and only when
-- less than the time promised is left, so that a waiter that asks every few milliseconds writes only now and then.
-- `o_until`: when the place is lost at the earliest; NULL: the queue is full, nothing was written.
DROP PROCEDURE IF EXISTS `mutexes_enter_v1`;#
CREATE PROCEDURE `mutexes_enter_v1`(
  IN p_tenant VARBINARY(128), IN p_semaphore VARBINARY(255), IN p_mutex VARBINARY(255), IN p_ticket VARBINARY(128),
  IN p_client VARBINARY(64), IN p_now BIGINT, INOUT p_seq BIGINT UNSIGNED, OUT o_until BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
proc: BEGIN
  DECLARE v_first, v_client_until BIGINT;
  DECLARE v_count INT;
  SET o_until = p_now + 15000000 + 1000000;
  IF p_seq IS NULL THEN
    -- Those who have lost their place: oneself, and whoever stands at the head.
    DELETE FROM `lock_waiters`
      WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex AND ticket = p_ticket;
    SELECT w.deadline_us INTO v_first FROM `lock_waiters` w FORCE INDEX (queue)
      WHERE w.tenant_id = p_tenant AND w.semaphore_key = p_semaphore AND w.mutex_key = p_mutex ORDER BY w.seq LIMIT 1;
    SELECT COUNT(*) INTO v_count FROM (
      SELECT 1 FROM `lock_waiters` w FORCE INDEX (queue)
        WHERE w.tenant_id = p_tenant AND w.semaphore_key = p_semaphore AND w.mutex_key = p_mutex LIMIT 10000) a;
    IF v_first <= p_now OR v_count >= 10000 THEN
      DELETE FROM `lock_waiters`
        WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex AND deadline_us <= p_now;
      SET v_count = v_count - ROW_COUNT();
    END IF;
    IF v_count >= 10000 THEN
      SET o_until = NULL;
      LEAVE proc;
    END IF;
    INSERT INTO `lock_waiters` (tenant_id, semaphore_key, mutex_key, ticket, client_id, deadline_us)
      VALUES (p_tenant, p_semaphore, p_mutex, p_ticket, p_client, o_until);
    SET p_seq = LAST_INSERT_ID();
  ELSE
    UPDATE `lock_waiters` SET client_id = p_client, deadline_us = o_until
      WHERE seq = p_seq AND (client_id <> p_client OR deadline_us < p_now + 15000000);
  END IF;
  SELECT c.deadline_us INTO v_client_until FROM `lock_waiters_clients` c WHERE c.client_id = p_client;
  IF v_client_until IS NULL OR v_client_until < p_now + 400000 THEN
    INSERT INTO `lock_waiters_clients` (client_id, deadline_us) VALUES (p_client, p_now + 450000)
      ON DUPLICATE KEY UPDATE deadline_us = GREATEST(deadline_us, p_now + 450000);
  END IF;
END;#

-- Takes a mutex or a place in its queue (R1 to R8). `p_flags`: 1 data replaces data, 2 delete at release, 4 reentrant,
-- 8 only if it exists, 16 fair, 32 wait, 64 the caller has begun a transaction and commits it.
-- Answers one row. With one column: the token of a new grant that began at that very microsecond and left nothing of
-- earlier holders. Else the first column is the status; 1, granted: slot, version, fence, data, delete_on_release,
-- named_by_version, now; 0, busy: waiters ahead, number in the queue, when the answer can change at the earliest, now,
-- holder; 2: there is no such lock; 3: the queue is full.
--
-- This is the usual case in one statement: a row that is free, with nobody in the queue. The clock is read while the row
-- is locked, since its key alone decides which row that is. Variables and columns of an answer cost as much as a
-- statement, so there are none here but those that are needed.
DROP PROCEDURE IF EXISTS `mutexes_take_v1`;#
CREATE PROCEDURE `mutexes_take_v1`(
  IN p_tenant VARBINARY(128), IN p_key VARBINARY(255), IN p_version VARBINARY(128), IN p_owner VARBINARY(512),
  IN p_lease_ms BIGINT, IN p_data MEDIUMTEXT CHARACTER SET utf8mb4, IN p_flags INT, IN p_client VARBINARY(64))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  UPDATE `mutexes`
    SET fence = LAST_INSERT_ID(GREATEST(fence + 1, CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED))),
      updated_at_us = fence, expires_at_us = fence + p_lease_ms * 1000, version = p_version, owner = p_owner,
      lease_duration_ms = p_lease_ms, data = p_data, delete_on_release = ((p_flags & 2) > 0)
    WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key
      AND deleted_at_us = 0 AND delete_on_release = 0 AND (data IS NULL OR (p_data IS NOT NULL AND (p_flags & 1)))
      AND GREATEST(fence + 1, expires_at_us, IF(p_flags & 16, queued_until_us, 0))
        <= CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);
  IF ROW_COUNT() = 1 THEN
    SELECT LAST_INSERT_ID() AS fence;
  ELSE
    CALL `mutexes_take_slow_v1`(p_tenant, p_key, p_version, p_owner, p_lease_ms, p_data, p_flags, p_client);
  END IF;
END;#

-- The same for every case.
DROP PROCEDURE IF EXISTS `mutexes_take_slow_v1`;#
CREATE PROCEDURE `mutexes_take_slow_v1`(
  IN p_tenant VARBINARY(128), IN p_key VARBINARY(255), IN p_version VARBINARY(128), IN p_owner VARBINARY(512),
  IN p_lease_ms BIGINT, IN p_data MEDIUMTEXT CHARACTER SET utf8mb4, IN p_flags INT, IN p_client VARBINARY(64))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_status, v_delete_on_release, v_created, v_ahead INT DEFAULT 0;
  DECLARE v_version VARBINARY(128);
  DECLARE v_owner VARBINARY(512);
  DECLARE v_data MEDIUMTEXT CHARACTER SET utf8mb4;
  DECLARE v_fence, v_expires, v_queued, v_deleted, v_until, v_change BIGINT;
  DECLARE v_now BIGINT DEFAULT 0;
  DECLARE v_seq BIGINT UNSIGNED;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

  IF NOT (p_flags & 64) THEN START TRANSACTION; END IF;
  -- The second round is only for a row that this very call has made. An update in place takes the lock that is needed; to
  -- ignore a duplicate would take a shared one first, and two who do that and then want to write are deadlocked.
  lock_row: LOOP
    SELECT m.version, m.fence, m.expires_at_us, m.data, m.owner, m.delete_on_release, m.queued_until_us, m.deleted_at_us
      INTO v_version, v_fence, v_expires, v_data, v_owner, v_delete_on_release, v_queued, v_deleted
      FROM `mutexes` m WHERE m.tenant_id = p_tenant AND m.semaphore_key = '' AND m.mutex_key = p_key FOR UPDATE;
    IF v_version IS NOT NULL OR (p_flags & 8) THEN LEAVE lock_row; END IF;
    INSERT INTO `mutexes` (tenant_id, mutex_key, lease_duration_ms) VALUES (p_tenant, p_key, p_lease_ms)
      ON DUPLICATE KEY UPDATE slot = slot;
    SET v_created = 1;
  END LOOP;
  SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);

  IF (p_flags & 8) AND (v_version IS NULL OR v_deleted > 0) THEN
    SET v_status = 2;
  ELSEIF v_expires > v_now AND (v_version = p_version OR (p_flags & 4 AND v_owner = p_owner)) THEN
    -- R2, R3: it is the caller's already.
    SET v_status = 1;
    UPDATE `mutexes`
      SET lease_duration_ms = p_lease_ms, expires_at_us = v_now + p_lease_ms * 1000, updated_at_us = v_now
      WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key;
  ELSE
    IF (p_flags & 16) AND v_queued > v_now THEN
      CALL `mutexes_place_v1`(p_tenant, '', p_key, p_version, 1, v_now, v_seq, v_ahead, v_change);
    END IF;
    IF v_expires <= v_now AND v_ahead = 0 THEN
      IF v_seq IS NOT NULL THEN
        DELETE FROM `lock_waiters` WHERE seq = v_seq;
        IF NOT EXISTS (SELECT 1 FROM `lock_waiters` w
            WHERE w.tenant_id = p_tenant AND w.semaphore_key = '' AND w.mutex_key = p_key) THEN
          SET v_queued = 0;
        END IF;
      END IF;
      -- A mutex may have been created to go away at its first release.
      SET v_status = 1, v_fence = GREATEST(v_fence + 1, v_now), v_version = p_version,
        v_data = IF(p_data IS NOT NULL AND (p_flags & 1 OR v_data IS NULL), p_data, v_data),
        v_delete_on_release = ((p_flags & 2) > 0 OR (v_owner = '' AND v_delete_on_release));
      UPDATE `mutexes`
        SET version = p_version, fence = v_fence, lease_duration_ms = p_lease_ms,
          expires_at_us = v_now + p_lease_ms * 1000, data = v_data, owner = p_owner,
          delete_on_release = v_delete_on_release, queued_until_us = v_queued,
          created_at_us = IF(v_created OR deleted_at_us > 0, v_now, created_at_us), deleted_at_us = 0,
          updated_at_us = v_now
        WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key;
    ELSE
      IF v_expires > v_now THEN SET v_change = v_expires; ELSE SET v_owner = ''; END IF;
      IF (p_flags & 16) AND (p_flags & 32) THEN
        CALL `mutexes_enter_v1`(p_tenant, '', p_key, p_version, p_client, v_now, v_seq, v_until);
        IF v_until IS NULL THEN
          SET v_status = 3;
        ELSEIF v_queued < v_now + 15000000 THEN
          UPDATE `mutexes` SET queued_until_us = v_until
            WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key;
        END IF;
      END IF;
    END IF;
  END IF;
  IF NOT (p_flags & 64) THEN COMMIT; END IF;
  IF v_status = 1 THEN
    SELECT v_status AS status, 0 AS slot, v_version AS version, v_fence AS fence, v_data AS data,
      v_delete_on_release AS delete_on_release, 0 AS named_by_version, v_now AS now_us;
  ELSE
    SELECT v_status AS status, v_ahead AS waiters_ahead, COALESCE(v_seq, 0) AS queue_number, v_change AS change_at_us,
      v_now AS now_us, v_owner AS holder;
  END IF;
END;#

-- Takes a slot of a semaphore or a place in its queue (R1 to R8). Answers as the procedure for mutexes does.
-- `p_max_size` NULL: an absent semaphore is not created. `p_flags` has 128 more: named by version.
DROP PROCEDURE IF EXISTS `mutexes_take_slot_v1`;#
CREATE PROCEDURE `mutexes_take_slot_v1`(
  IN p_tenant VARBINARY(128), IN p_key VARBINARY(255), IN p_version VARBINARY(128), IN p_owner VARBINARY(512),
  IN p_lease_ms BIGINT, IN p_max_size INT, IN p_data MEDIUMTEXT CHARACTER SET utf8mb4, IN p_flags INT,
  IN p_client VARBINARY(64))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_status, v_ahead, v_rows, v_held, v_free, v_named, v_delete_on_release INT DEFAULT 0;
  DECLARE v_max_size, v_slot, v_own, v_same_owner INT;
  DECLARE v_semaphore_version, v_version VARBINARY(128);
  DECLARE v_owner VARBINARY(512) DEFAULT '';
  DECLARE v_data MEDIUMTEXT CHARACTER SET utf8mb4;
  DECLARE v_slot_key VARBINARY(272);
  DECLARE v_fence, v_slot_fence, v_expires, v_queued, v_deleted, v_until, v_change, v_first_end BIGINT;
  DECLARE v_now BIGINT DEFAULT 0;
  DECLARE v_seq BIGINT UNSIGNED;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

  IF NOT (p_flags & 64) THEN START TRANSACTION; END IF;
  -- All who want a slot take turns here. Renewals and releases lock their own slot only.
  lock_row: LOOP
    SELECT s.version, s.max_size, s.fence, s.queued_until_us, s.deleted_at_us
      INTO v_semaphore_version, v_max_size, v_fence, v_queued, v_deleted
      FROM `semaphores` s WHERE s.tenant_id = p_tenant AND s.semaphore_key = p_key FOR UPDATE;
    IF v_semaphore_version IS NOT NULL OR (p_flags & 8) OR p_max_size IS NULL THEN LEAVE lock_row; END IF;
    INSERT INTO `semaphores` (tenant_id, semaphore_key, deleted_at_us) VALUES (p_tenant, p_key, 1)
      ON DUPLICATE KEY UPDATE version = version;
  END LOOP;
  SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);

  IF v_semaphore_version IS NULL OR (v_deleted > 0 AND (p_flags & 8 OR p_max_size IS NULL)) THEN
    SET v_status = 2;
  ELSE
    IF v_deleted > 0 THEN
      SET v_max_size = p_max_size;
      UPDATE `semaphores`
        SET version = p_version, max_size = p_max_size, lease_duration_ms = p_lease_ms,
          fair_semaphore = ((p_flags & 128) > 0), deleted_at_us = 0, created_at_us = v_now, updated_at_us = v_now
        WHERE tenant_id = p_tenant AND semaphore_key = p_key;
    END IF;

    -- A slot that seems to have run out may be renewed at this moment. So what is found is locked and looked at again.
    find_slot: LOOP
      SELECT COUNT(*), COALESCE(SUM(m.expires_at_us > v_now), 0), MIN(IF(m.expires_at_us > v_now, NULL, m.slot)),
          MIN(IF(m.expires_at_us > v_now AND m.version = p_version, m.slot, NULL)),
          MIN(IF(p_flags & 4 AND m.expires_at_us > v_now AND m.owner = p_owner, m.slot, NULL)),
          MIN(IF(m.expires_at_us > v_now, m.expires_at_us, NULL))
        INTO v_rows, v_held, v_slot, v_own, v_same_owner, v_first_end
        FROM `mutexes` m WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_key;
      SET v_own = COALESCE(v_own, v_same_owner), v_free = v_max_size - v_held;
      IF v_slot IS NULL AND v_rows < v_max_size THEN SET v_slot = v_rows; END IF;
      IF v_own IS NULL AND (p_flags & 16) AND v_queued > v_now THEN
        CALL `mutexes_place_v1`(p_tenant, p_key, '', p_version, v_free, v_now, v_seq, v_ahead, v_change);
      END IF;
      IF v_own IS NULL AND (v_slot IS NULL OR v_free <= 0 OR v_ahead >= v_free) THEN LEAVE find_slot; END IF;

      SET v_slot = COALESCE(v_own, v_slot), v_slot_key = CONCAT(p_key, '_', LPAD(COALESCE(v_own, v_slot), 10, '0'));
      SET v_version = NULL, v_expires = 0, v_data = NULL;
      SELECT m.version, m.expires_at_us, m.data, m.owner, m.delete_on_release, m.named_by_version, m.fence
        INTO v_version, v_expires, v_data, v_owner, v_delete_on_release, v_named, v_slot_fence
        FROM `mutexes` m WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_key AND m.mutex_key = v_slot_key FOR UPDATE;
      SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);
      IF v_own IS NULL AND v_expires <= v_now THEN
        SET v_status = 1;
        LEAVE find_slot;
      ELSEIF v_own IS NOT NULL AND v_expires > v_now AND (v_version = p_version OR (p_flags & 4 AND v_owner = p_owner)) THEN
        SET v_status = 1, v_fence = v_slot_fence;
        LEAVE find_slot;
      END IF;
    END LOOP;

    IF v_status = 1 AND v_own IS NOT NULL THEN
      -- R2, R3: it is the caller's already.
      UPDATE `mutexes` SET lease_duration_ms = p_lease_ms, expires_at_us = v_now + p_lease_ms * 1000, updated_at_us = v_now
        WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = v_slot_key;
    ELSEIF v_status = 1 THEN
      IF v_seq IS NOT NULL THEN
        DELETE FROM `lock_waiters` WHERE seq = v_seq;
        IF NOT EXISTS (SELECT 1 FROM `lock_waiters` w
            WHERE w.tenant_id = p_tenant AND w.semaphore_key = p_key AND w.mutex_key = '') THEN
          SET v_queued = 0;
        END IF;
      END IF;
      SET v_fence = GREATEST(v_fence + 1, v_now), v_owner = p_owner, v_named = ((p_flags & 128) > 0),
        v_data = IF(p_data IS NOT NULL AND (p_flags & 1 OR v_data IS NULL), p_data, v_data),
        v_delete_on_release = ((p_flags & 2) > 0);
      IF v_version IS NULL THEN
        INSERT INTO `mutexes` (tenant_id, semaphore_key, mutex_key, slot, version, fence, lease_duration_ms,
            expires_at_us, data, owner, delete_on_release, named_by_version, created_at_us, updated_at_us)
          VALUES (p_tenant, p_key, v_slot_key, v_slot, p_version, v_fence, p_lease_ms, v_now + p_lease_ms * 1000, v_data, v_owner,
            v_delete_on_release, v_named, v_now, v_now);
      ELSE
        UPDATE `mutexes`
          SET version = p_version, fence = v_fence, lease_duration_ms = p_lease_ms,
            expires_at_us = v_now + p_lease_ms * 1000, data = v_data, owner = v_owner,
            delete_on_release = v_delete_on_release, named_by_version = v_named, updated_at_us = v_now
          WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = v_slot_key;
      END IF;
      SET v_version = p_version;
      UPDATE `semaphores` SET fence = v_fence, queued_until_us = v_queued
        WHERE tenant_id = p_tenant AND semaphore_key = p_key;
    ELSE
      SET v_owner = '';
      IF v_free <= 0 THEN
        SET v_change = v_first_end;
        SELECT m.owner INTO v_owner FROM `mutexes` m
          WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_key AND m.expires_at_us = v_first_end LIMIT 1;
      END IF;
      IF (p_flags & 16) AND (p_flags & 32) THEN
        CALL `mutexes_enter_v1`(p_tenant, p_key, '', p_version, p_client, v_now, v_seq, v_until);
        IF v_until IS NULL THEN
          SET v_status = 3;
        ELSEIF v_queued < v_now + 15000000 THEN
          UPDATE `semaphores` SET queued_until_us = v_until WHERE tenant_id = p_tenant AND semaphore_key = p_key;
        END IF;
      END IF;
    END IF;
  END IF;
  IF NOT (p_flags & 64) THEN COMMIT; END IF;
  IF v_status = 1 THEN
    SELECT v_status AS status, v_slot AS slot, v_version AS version, v_fence AS fence, v_data AS data,
      v_delete_on_release AS delete_on_release, v_named AS named_by_version, v_now AS now_us;
  ELSE
    SELECT v_status AS status, v_ahead AS waiters_ahead, COALESCE(v_seq, 0) AS queue_number, v_change AS change_at_us,
      v_now AS now_us, v_owner AS holder;
  END IF;
END;#

-- Gives a held slot a new lease (R9). `p_semaphore` '': a mutex. `p_slot_key` NULL: the slot is found by its version.
-- Answers the row as it is then: the lease is renewed if it has `p_new_version` and is held; nothing if there is no row.
DROP PROCEDURE IF EXISTS `mutexes_renew_v1`;#
CREATE PROCEDURE `mutexes_renew_v1`(
  IN p_tenant VARBINARY(128), IN p_semaphore VARBINARY(255), IN p_slot_key VARBINARY(272), IN p_version VARBINARY(128),
  IN p_new_version VARBINARY(128), IN p_lease_ms BIGINT, IN p_data MEDIUMTEXT CHARACTER SET utf8mb4)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_slot_key VARBINARY(272) DEFAULT p_slot_key;
  IF p_slot_key IS NULL THEN
    SELECT m.mutex_key INTO v_slot_key FROM `mutexes` m
      WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_semaphore AND m.version IN (p_version, p_new_version)
      ORDER BY m.expires_at_us DESC LIMIT 1;
  END IF;
  UPDATE `mutexes`
    SET updated_at_us = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED),
      expires_at_us = updated_at_us + p_lease_ms * 1000,
      version = p_new_version,
      lease_duration_ms = p_lease_ms,
      data = COALESCE(p_data, data)
    WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = v_slot_key
      AND version IN (p_version, p_new_version) AND deleted_at_us = 0
      AND expires_at_us > CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);
  SELECT m.slot, m.version, m.fence, m.data, m.delete_on_release, m.named_by_version,
      CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED) AS now_us, m.expires_at_us, m.lease_duration_ms, m.owner
    FROM `mutexes` m
    WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_semaphore AND m.mutex_key = v_slot_key AND m.deleted_at_us = 0;
END;#

-- Gives a slot back (R10). Answers 1 freed, 0 another version's, 2 no such mutex or semaphore; or nothing, when the call has
-- changed one row, which is the usual case in one statement: freed.
DROP PROCEDURE IF EXISTS `mutexes_release_v1`;#
CREATE PROCEDURE `mutexes_release_v1`(
  IN p_tenant VARBINARY(128), IN p_semaphore VARBINARY(255), IN p_slot_key VARBINARY(272), IN p_version VARBINARY(128),
  IN p_delete TINYINT, IN p_data MEDIUMTEXT CHARACTER SET utf8mb4)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
proc: BEGIN
  IF NOT p_delete AND p_slot_key IS NOT NULL THEN
    UPDATE `mutexes`
      SET expires_at_us = 0, data = COALESCE(p_data, data),
        updated_at_us = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)
      WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_slot_key AND version = p_version
        AND expires_at_us > 0 AND delete_on_release = 0 AND deleted_at_us = 0;
    IF ROW_COUNT() = 1 THEN LEAVE proc; END IF;
  END IF;
  CALL `mutexes_release_slow_v1`(p_tenant, p_semaphore, p_slot_key, p_version, p_delete, p_data);
END;#

-- The same for every case.
DROP PROCEDURE IF EXISTS `mutexes_release_slow_v1`;#
CREATE PROCEDURE `mutexes_release_slow_v1`(
  IN p_tenant VARBINARY(128), IN p_semaphore VARBINARY(255), IN p_slot_key VARBINARY(272), IN p_version VARBINARY(128),
  IN p_delete TINYINT, IN p_data MEDIUMTEXT CHARACTER SET utf8mb4)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_status, v_delete, v_tombstone INT DEFAULT 0;
  DECLARE v_slot_key VARBINARY(272) DEFAULT p_slot_key;
  DECLARE v_version VARBINARY(128);
  DECLARE v_deleted, v_now BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;

  IF p_slot_key IS NULL THEN
    SELECT m.mutex_key INTO v_slot_key FROM `mutexes` m
      WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_semaphore AND m.version = p_version
      ORDER BY m.expires_at_us DESC LIMIT 1;
  END IF;
  START TRANSACTION;
  SELECT m.version, m.deleted_at_us, m.delete_on_release INTO v_version, v_deleted, v_delete FROM `mutexes` m
    WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_semaphore AND m.mutex_key = v_slot_key FOR UPDATE;
  SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED), v_delete = v_delete OR p_delete;
  IF v_version = p_version AND v_deleted = 0 THEN
    SET v_status = 1, v_tombstone = (v_delete AND p_semaphore = '');
    UPDATE `mutexes`
      SET expires_at_us = 0, updated_at_us = v_now, data = IF(v_delete, NULL, COALESCE(p_data, data)),
        owner = IF(v_tombstone, '', owner), delete_on_release = IF(v_tombstone, 0, delete_on_release),
        deleted_at_us = IF(v_tombstone, v_now, 0)
      WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = v_slot_key;
  ELSEIF v_version = p_version THEN
    -- An earlier try has deleted it.
    SET v_status = 1;
  ELSEIF p_semaphore = '' THEN
    SET v_status = IF(v_version IS NULL OR v_deleted > 0, 2, 0);
  ELSE
    SET v_status = IF(EXISTS (SELECT 1 FROM `semaphores` s
      WHERE s.tenant_id = p_tenant AND s.semaphore_key = p_semaphore AND s.deleted_at_us = 0), 0, 2);
  END IF;
  COMMIT;
  SELECT v_status AS status;
  IF v_tombstone THEN CALL `mutexes_purge_v1`(v_now); END IF;
END;#

-- Forgets one mutex and one semaphore that were deleted a day ago (R11): each deletion pays for an earlier one.
DROP PROCEDURE IF EXISTS `mutexes_purge_v1`;#
CREATE PROCEDURE `mutexes_purge_v1`(IN p_now BIGINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_tenant VARBINARY(128);
  DECLARE v_semaphore, v_other VARBINARY(255);
  DECLARE v_mutex VARBINARY(272);
  DECLARE v_before BIGINT DEFAULT p_now - 86400000000;
  -- Whoever comes next can do it as well.
  DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;
  SELECT m.tenant_id, m.semaphore_key, m.mutex_key INTO v_tenant, v_semaphore, v_mutex FROM `mutexes` m
    WHERE m.deleted_at_us > 0 AND m.deleted_at_us < v_before ORDER BY m.deleted_at_us LIMIT 1;
  IF v_tenant IS NOT NULL THEN
    DELETE FROM `mutexes` WHERE tenant_id = v_tenant AND semaphore_key = v_semaphore AND mutex_key = v_mutex
      AND deleted_at_us > 0 AND deleted_at_us < v_before;
  END IF;
  SET v_tenant = NULL;
  SELECT s.tenant_id, s.semaphore_key INTO v_tenant, v_other FROM `semaphores` s
    WHERE s.deleted_at_us > 0 AND s.deleted_at_us < v_before ORDER BY s.deleted_at_us LIMIT 1;
  IF v_tenant IS NOT NULL THEN
    DELETE FROM `semaphores` WHERE tenant_id = v_tenant AND semaphore_key = v_other
      AND deleted_at_us > 0 AND deleted_at_us < v_before;
  END IF;
END;#

-- Ends an acquisition: out of the queue, and what was granted to it is free. The lock's row is locked, so that no grant to
-- this ticket is under way. `p_semaphore` and `p_mutex` name the queue; the one that does not apply is ''.
DROP PROCEDURE IF EXISTS `mutexes_abandon_v1`;#
CREATE PROCEDURE `mutexes_abandon_v1`(
  IN p_tenant VARBINARY(128), IN p_semaphore VARBINARY(255), IN p_mutex VARBINARY(255), IN p_version VARBINARY(128))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_version VARBINARY(128);
  DECLARE v_slot_key VARBINARY(272);
  DECLARE v_now BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  IF p_semaphore = '' THEN
    SELECT m.version INTO v_version FROM `mutexes` m
      WHERE m.tenant_id = p_tenant AND m.semaphore_key = '' AND m.mutex_key = p_mutex FOR UPDATE;
    IF v_version = p_version THEN SET v_slot_key = p_mutex; END IF;
  ELSE
    SELECT s.version INTO v_version FROM `semaphores` s
      WHERE s.tenant_id = p_tenant AND s.semaphore_key = p_semaphore FOR UPDATE;
    SELECT m.mutex_key INTO v_slot_key FROM `mutexes` m
      WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_semaphore AND m.version = p_version
      ORDER BY m.expires_at_us DESC LIMIT 1;
  END IF;
  DELETE FROM `lock_waiters`
    WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex AND ticket = p_version;
  IF v_slot_key IS NOT NULL THEN
    SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);
    UPDATE `mutexes`
      SET expires_at_us = 0, updated_at_us = v_now,
        deleted_at_us = IF(delete_on_release AND p_semaphore = '', v_now, 0),
        data = IF(delete_on_release, NULL, data)
      WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = v_slot_key AND version = p_version
        AND expires_at_us > 0 AND deleted_at_us = 0;
  END IF;
  COMMIT;
  SELECT 1 AS status;
END;#

-- Deletes a free mutex at this version (R11). Answers 1 deleted, 0 held, 2 absent or of another version.
DROP PROCEDURE IF EXISTS `mutexes_delete_v1`;#
CREATE PROCEDURE `mutexes_delete_v1`(
  IN p_tenant VARBINARY(128), IN p_key VARBINARY(255), IN p_version VARBINARY(128))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_status INT DEFAULT 2;
  DECLARE v_version VARBINARY(128);
  DECLARE v_expires, v_deleted, v_now BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  SELECT m.version, m.expires_at_us, m.deleted_at_us INTO v_version, v_expires, v_deleted FROM `mutexes` m
    WHERE m.tenant_id = p_tenant AND m.semaphore_key = '' AND m.mutex_key = p_key FOR UPDATE;
  SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);
  IF v_version = p_version AND v_deleted = 0 THEN
    SET v_status = (v_expires <= v_now);
  END IF;
  IF v_status = 1 THEN
    UPDATE `mutexes`
      SET version = '', expires_at_us = 0, data = NULL, owner = '', delete_on_release = 0, deleted_at_us = v_now,
        updated_at_us = v_now
      WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key;
  END IF;
  COMMIT;
  SELECT v_status AS status;
  IF v_status = 1 THEN CALL `mutexes_purge_v1`(v_now); END IF;
END;#

-- Creates a semaphore or gives an existing one this size, lease and version. Answers 1 done, 0 a slot that would go is held.
-- `p_fair` NULL: as it was.
DROP PROCEDURE IF EXISTS `mutexes_put_sem_v1`;#
CREATE PROCEDURE `mutexes_put_sem_v1`(
  IN p_tenant VARBINARY(128), IN p_key VARBINARY(255), IN p_version VARBINARY(128), IN p_max_size INT,
  IN p_lease_ms BIGINT, IN p_fair TINYINT)
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_status INT DEFAULT 1;
  DECLARE v_held INT;
  DECLARE v_version VARBINARY(128);
  DECLARE v_now BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  lock_row: LOOP
    SELECT s.version INTO v_version FROM `semaphores` s
      WHERE s.tenant_id = p_tenant AND s.semaphore_key = p_key FOR UPDATE;
    IF v_version IS NOT NULL THEN LEAVE lock_row; END IF;
    INSERT INTO `semaphores` (tenant_id, semaphore_key, deleted_at_us) VALUES (p_tenant, p_key, 1)
      ON DUPLICATE KEY UPDATE version = version;
  END LOOP;
  -- Locks the slots: one that seems to have run out may be renewed at this moment.
  SELECT COUNT(*) INTO v_held FROM `mutexes` m
    WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_key AND m.slot >= p_max_size
      AND m.expires_at_us > CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED) FOR UPDATE;
  IF v_held > 0 THEN
    SET v_status = 0;
    ROLLBACK;
  ELSE
    SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);
    DELETE FROM `mutexes` WHERE tenant_id = p_tenant AND semaphore_key = p_key AND slot >= p_max_size;
    UPDATE `semaphores`
      SET version = p_version, max_size = p_max_size, lease_duration_ms = p_lease_ms,
        fair_semaphore = COALESCE(p_fair, IF(deleted_at_us > 0, 0, fair_semaphore)),
        created_at_us = IF(deleted_at_us > 0, v_now, created_at_us), deleted_at_us = 0, updated_at_us = v_now
      WHERE tenant_id = p_tenant AND semaphore_key = p_key;
    COMMIT;
  END IF;
  SELECT v_status AS status;
END;#

-- Deletes a semaphore at this version with its slots (R11). Answers 1 deleted, 0 a slot is held, 2 absent or of another
-- version.
DROP PROCEDURE IF EXISTS `mutexes_del_sem_v1`;#
CREATE PROCEDURE `mutexes_del_sem_v1`(
  IN p_tenant VARBINARY(128), IN p_key VARBINARY(255), IN p_version VARBINARY(128))
  MODIFIES SQL DATA
  SQL SECURITY INVOKER
BEGIN
  DECLARE v_status INT DEFAULT 2;
  DECLARE v_held INT;
  DECLARE v_version VARBINARY(128);
  DECLARE v_deleted, v_now BIGINT;
  DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END;
  START TRANSACTION;
  SELECT s.version, s.deleted_at_us INTO v_version, v_deleted FROM `semaphores` s
    WHERE s.tenant_id = p_tenant AND s.semaphore_key = p_key FOR UPDATE;
  IF v_version = p_version AND v_deleted = 0 THEN
    SELECT COUNT(*) INTO v_held FROM `mutexes` m
      WHERE m.tenant_id = p_tenant AND m.semaphore_key = p_key
        AND m.expires_at_us > CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED) FOR UPDATE;
    SET v_status = (v_held = 0), v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);
  END IF;
  IF v_status = 1 THEN
    DELETE FROM `mutexes` WHERE tenant_id = p_tenant AND semaphore_key = p_key;
    UPDATE `semaphores` SET version = '', deleted_at_us = v_now, updated_at_us = v_now
      WHERE tenant_id = p_tenant AND semaphore_key = p_key;
  END IF;
  COMMIT;
  SELECT v_status AS status;
  IF v_status = 1 THEN CALL `mutexes_purge_v1`(v_now); END IF;
END;#

/*!999999 \d ; */

SET SESSION sql_mode = @db_locks_sql_mode;

INSERT IGNORE INTO `db_locks_migrations` (version, mutexes_table) VALUES ('00000000000002_create_procedures', '`mutexes`');

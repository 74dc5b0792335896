-- The lock protocol of db-locks: one function for each operation, so that each is one round trip and one transaction.
-- Safe to run again and beside running clients.
-- Every function locks the row of its mutex or semaphore first and reads the clock after that; slots and waiters are only
-- touched under that lock, and no function locks two such rows (renew_many: in one order), so they cannot deadlock.
-- Statements inside see what was committed before they got the lock: each has its own snapshot (READ COMMITTED).
-- enable_seqscan is off in them because a plan that was made while a table was tiny lives on while the table grows.
-- Outcomes: 0 done, 1 refused, 2 not found, 3 queue full, 4 in use.

-- Shows that a client lives. Within p_slack_ms of the last time there is nothing to write.
CREATE OR REPLACE FUNCTION "mutexes_beat"(p_client text, p_now_us bigint, p_ttl_ms bigint, p_slack_ms bigint)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_until_us bigint := p_now_us + p_ttl_ms * 1000;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE "lock_waiters_clients" SET deadline_us = v_until_us
    WHERE client_id = p_client AND deadline_us < v_until_us - p_slack_ms * 1000;
    IF FOUND OR EXISTS (SELECT 1 FROM "lock_waiters_clients" WHERE client_id = p_client) THEN
        RETURN;
    END IF;
    INSERT INTO "lock_waiters_clients" (client_id, deadline_us) VALUES (p_client, v_until_us)
    ON CONFLICT (client_id) DO UPDATE SET deadline_us = excluded.deadline_us;
    -- A new process: time to forget some that are long gone, and those who waited in them.
    DELETE FROM "lock_waiters_clients" WHERE client_id IN (
        SELECT client_id FROM "lock_waiters_clients" WHERE client_id >= '' AND deadline_us < p_now_us - 60000000
        LIMIT 64 FOR UPDATE SKIP LOCKED);
    DELETE FROM "lock_waiters" WHERE (tenant_id, semaphore_key, mutex_key, seq) IN (
        SELECT tenant_id, semaphore_key, mutex_key, seq FROM "lock_waiters"
        WHERE tenant_id >= '' AND deadline_us < p_now_us - 60000000
        LIMIT 64 FOR UPDATE SKIP LOCKED);
END $$;

-- Where a ticket stands (o_seq: null when it is not in the queue) and how many live waiters are ahead of it, counted up to
-- p_limit; o_live_until_us: when the first of these stops being live unless it shows life again.
CREATE OR REPLACE FUNCTION "mutexes_rank"(
    p_tenant text, p_semaphore text, p_mutex text, p_ticket text, p_limit bigint, p_now_us bigint,
    OUT o_seq bigint, OUT o_ahead bigint, OUT o_live_until_us bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    SELECT seq INTO o_seq FROM "lock_waiters"
    WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex AND ticket = p_ticket
      AND deadline_us > p_now_us;
    SELECT count(*), min(a.until_us) INTO o_ahead, o_live_until_us FROM (
        SELECT least(w.deadline_us, c.deadline_us) AS until_us
        FROM "lock_waiters" w JOIN "lock_waiters_clients" c ON c.client_id = w.client_id
        WHERE w.tenant_id = p_tenant AND w.semaphore_key = p_semaphore AND w.mutex_key = p_mutex
          AND w.seq < coalesce(o_seq, 9223372036854775807)
          AND w.deadline_us > p_now_us AND c.deadline_us > p_now_us
        ORDER BY w.seq LIMIT p_limit) a;
END $$;

-- Puts a ticket into the queue, or keeps it in its place (p_seq). Null when the queue is full.
CREATE OR REPLACE FUNCTION "mutexes_enqueue"(
    p_tenant text, p_semaphore text, p_mutex text, p_ticket text, p_client text, p_seq bigint, p_now_us bigint,
    p_waiter_ttl_ms bigint, p_client_ttl_ms bigint, p_max_waiters bigint)
RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_seq bigint := p_seq;
    v_until_us bigint := p_now_us + p_waiter_ttl_ms * 1000;
BEGIN
    IF v_seq IS NULL THEN
        -- Its own place, if that was lost, and what else was lost at the front.
        DELETE FROM "lock_waiters"
        WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex AND ticket = p_ticket;
        DELETE FROM "lock_waiters" WHERE ctid = ANY (ARRAY(
            SELECT o.place FROM (SELECT ctid AS place, deadline_us FROM "lock_waiters"
                WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex
                ORDER BY seq LIMIT 16) o WHERE o.deadline_us <= p_now_us));
        INSERT INTO "lock_waiters" (tenant_id, semaphore_key, mutex_key, ticket, client_id, deadline_us)
        VALUES (p_tenant, p_semaphore, p_mutex, p_ticket, p_client, v_until_us) RETURNING seq INTO v_seq;
        -- Numbers are shared by all queues: while so many were not given since the oldest one here, this queue is not that long.
        IF v_seq - p_max_waiters >= (SELECT seq FROM "lock_waiters"
                WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex ORDER BY seq LIMIT 1)
            AND p_max_waiters < (SELECT count(*) FROM "lock_waiters" WHERE deadline_us > p_now_us
                AND tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex) THEN
            DELETE FROM "lock_waiters"
            WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex AND ticket = p_ticket;
            RETURN NULL;
        END IF;
    ELSE
        -- The head of a queue may ask often; its place is written anew only every third of its life.
        UPDATE "lock_waiters" SET deadline_us = v_until_us, client_id = p_client
        WHERE tenant_id = p_tenant AND semaphore_key = p_semaphore AND mutex_key = p_mutex AND ticket = p_ticket
          AND (deadline_us < v_until_us - p_waiter_ttl_ms * 1000 / 3 OR client_id <> p_client);
    END IF;
    PERFORM "mutexes_beat"(p_client, p_now_us, p_client_ttl_ms, p_client_ttl_ms / 8);
    RETURN v_seq;
END $$;

-- Rings the first p_free live waiters. Called only when somebody waits: NOTIFY makes commits queue up.
CREATE OR REPLACE FUNCTION "mutexes_wake"(
    p_tenant text, p_semaphore text, p_mutex text, p_free bigint, p_now_us bigint)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM pg_notify(f.client_id, f.ticket) FROM (
        SELECT w.client_id, w.ticket
        FROM "lock_waiters" w JOIN "lock_waiters_clients" c ON c.client_id = w.client_id
        WHERE w.tenant_id = p_tenant AND w.semaphore_key = p_semaphore AND w.mutex_key = p_mutex
          AND w.deadline_us > p_now_us AND c.deadline_us > p_now_us
        ORDER BY w.seq LIMIT p_free) f
    WHERE f.client_id LIKE 'dbl\_%';
END $$;

CREATE OR REPLACE FUNCTION "mutexes_acquire"(
    p_tenant text, p_key text, p_version text, p_owner text, p_lease_ms bigint, p_data text, p_replace_data boolean,
    p_delete_on_release boolean, p_reentrant boolean, p_only_if_exists boolean, p_fair boolean, p_wait boolean,
    p_client text, p_waiter_ttl_ms bigint, p_client_ttl_ms bigint, p_max_waiters bigint, p_max_position bigint,
    OUT o_outcome integer, OUT o_slot integer, OUT o_version text, OUT o_fence bigint, OUT o_lease_ms bigint, OUT o_expires_at_us bigint,
    OUT o_now_us bigint, OUT o_data text, OUT o_owner text, OUT o_delete_on_release boolean, OUT o_named_by_version boolean,
    OUT o_position bigint, OUT o_queue_number bigint, OUT o_change_at_us bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    m record;
    v_live_until_us bigint;
BEGIN
    o_slot := 0;
    o_named_by_version := false;
    LOOP
        SELECT version, fence, lease_duration_ms, expires_at_us, data, owner, delete_on_release, deleted_at_us INTO m
        FROM "mutexes" WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key FOR UPDATE;
        EXIT WHEN FOUND;
        IF p_only_if_exists THEN
            o_outcome := 2;
            RETURN;
        END IF;
        o_now_us := date_part('epoch', clock_timestamp()) * 1000000;
        INSERT INTO "mutexes" (tenant_id, mutex_key, lease_duration_ms, created_at_us, updated_at_us)
        VALUES (p_tenant, p_key, p_lease_ms, o_now_us, o_now_us) ON CONFLICT DO NOTHING;
    END LOOP;
    o_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    IF p_only_if_exists AND m.deleted_at_us > 0 THEN
        o_outcome := 2;
        RETURN;
    END IF;

    IF m.expires_at_us > o_now_us
        AND (m.version = p_version OR (p_reentrant AND m.owner = p_owner AND p_owner <> '')) THEN
        -- A retry, or the owner's own lock. Another handle may trust its longer lease, so it is never cut short.
        o_expires_at_us := greatest(m.expires_at_us, o_now_us + p_lease_ms * 1000);
        UPDATE "mutexes" SET lease_duration_ms = p_lease_ms, expires_at_us = o_expires_at_us, updated_at_us = o_now_us
        WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key;
        DELETE FROM "lock_waiters"
        WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key AND ticket = p_version;
        SELECT 0, m.version, m.fence, p_lease_ms, m.data, m.owner, m.delete_on_release
            INTO o_outcome, o_version, o_fence, o_lease_ms, o_data, o_owner, o_delete_on_release;
        RETURN;
    END IF;

    o_position := 0;
    IF EXISTS (SELECT 1 FROM "lock_waiters"
               WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key) THEN
        SELECT o_seq, o_ahead, r.o_live_until_us INTO o_queue_number, o_position, v_live_until_us
        FROM "mutexes_rank"(p_tenant, '', p_key, p_version, p_max_position, o_now_us) r;
    END IF;

    IF m.expires_at_us <= o_now_us AND (o_position = 0 OR NOT p_fair) THEN
        o_outcome := 0;
        o_version := p_version;
        o_fence := greatest(m.fence + 1, o_now_us);
        o_lease_ms := p_lease_ms;
        o_expires_at_us := o_now_us + p_lease_ms * 1000;
        o_data := CASE WHEN p_data IS NOT NULL AND (p_replace_data OR m.data IS NULL) THEN p_data ELSE m.data END;
        o_owner := p_owner;
        o_delete_on_release := p_delete_on_release;
        UPDATE "mutexes" SET version = o_version, fence = o_fence, lease_duration_ms = o_lease_ms,
            expires_at_us = o_expires_at_us, data = o_data, owner = o_owner, delete_on_release = o_delete_on_release,
            deleted_at_us = 0, created_at_us = CASE WHEN deleted_at_us > 0 THEN o_now_us ELSE created_at_us END,
            updated_at_us = o_now_us
        WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key;
        IF o_queue_number IS NOT NULL THEN
            DELETE FROM "lock_waiters"
            WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key AND ticket = p_version;
        END IF;
        RETURN;
    END IF;

    -- Refused. Nothing here is worth waiting for the disk: a place in the queue that a crash of the server forgets is taken again.
    PERFORM set_config('synchronous_commit', 'off', true);
    o_outcome := 1;
    IF m.expires_at_us > o_now_us THEN
        o_owner := m.owner;
        o_change_at_us := m.expires_at_us;
    ELSE
        o_change_at_us := v_live_until_us;
    END IF;
    IF p_fair AND p_wait THEN
        o_queue_number := "mutexes_enqueue"(p_tenant, '', p_key, p_version, p_client, o_queue_number, o_now_us,
            p_waiter_ttl_ms, p_client_ttl_ms, p_max_waiters);
        IF o_queue_number IS NULL THEN
            o_outcome := 3;
        END IF;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION "mutexes_slot_acquire"(
    p_tenant text, p_key text, p_version text, p_owner text, p_lease_ms bigint, p_max_size integer,
    p_named_by_version boolean, p_data text, p_replace_data boolean, p_delete_on_release boolean, p_reentrant boolean,
    p_only_if_exists boolean, p_fair boolean, p_wait boolean,
    p_client text, p_waiter_ttl_ms bigint, p_client_ttl_ms bigint, p_max_waiters bigint, p_max_position bigint,
    OUT o_outcome integer, OUT o_slot integer, OUT o_version text, OUT o_fence bigint, OUT o_lease_ms bigint, OUT o_expires_at_us bigint,
    OUT o_now_us bigint, OUT o_data text, OUT o_owner text, OUT o_delete_on_release boolean, OUT o_named_by_version boolean,
    OUT o_position bigint, OUT o_queue_number bigint, OUT o_change_at_us bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    s record;
    t record;
    v_free bigint;
    v_live_until_us bigint;
BEGIN
    LOOP
        SELECT max_size, fence, deleted_at_us INTO s
        FROM "semaphores" WHERE tenant_id = p_tenant AND semaphore_key = p_key FOR UPDATE;
        EXIT WHEN FOUND;
        IF p_only_if_exists OR p_max_size IS NULL THEN
            o_outcome := 2;
            RETURN;
        END IF;
        o_now_us := date_part('epoch', clock_timestamp()) * 1000000;
        INSERT INTO "semaphores" (tenant_id, semaphore_key, version, max_size, lease_duration_ms, fair_semaphore,
            created_at_us, updated_at_us)
        VALUES (p_tenant, p_key, gen_random_uuid()::text, p_max_size, p_lease_ms, p_named_by_version,
            o_now_us, o_now_us)
        ON CONFLICT DO NOTHING;
    END LOOP;
    o_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    IF s.deleted_at_us > 0 THEN
        IF p_only_if_exists OR p_max_size IS NULL THEN
            o_outcome := 2;
            RETURN;
        END IF;
        UPDATE "semaphores" SET version = gen_random_uuid()::text, max_size = p_max_size,
            lease_duration_ms = p_lease_ms, fair_semaphore = p_named_by_version,
            deleted_at_us = 0, created_at_us = o_now_us, updated_at_us = o_now_us
        WHERE tenant_id = p_tenant AND semaphore_key = p_key;
        s.max_size := p_max_size;
    END IF;

    -- Slots have no rows until they are first granted, and are numbered without gaps: the next new one is o_rows.
    SELECT count(*) AS o_rows,
        count(*) FILTER (WHERE expires_at_us > o_now_us) AS held,
        min(slot) FILTER (WHERE expires_at_us <= o_now_us) AS lowest_free,
        coalesce(min(slot) FILTER (WHERE expires_at_us > o_now_us AND version = p_version),
            min(slot) FILTER (WHERE expires_at_us > o_now_us AND p_reentrant AND owner = p_owner AND p_owner <> '')) AS own
        INTO t FROM "mutexes" WHERE tenant_id = p_tenant AND semaphore_key = p_key;

    IF t.own IS NOT NULL THEN
        UPDATE "mutexes" SET lease_duration_ms = p_lease_ms,
            expires_at_us = greatest(expires_at_us, o_now_us + p_lease_ms * 1000), updated_at_us = o_now_us
        WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = p_key || '_' || lpad(t.own::text, 10, '0')
        RETURNING 0, slot, version, fence, lease_duration_ms, expires_at_us, data, owner, delete_on_release,
            named_by_version
        INTO o_outcome, o_slot, o_version, o_fence, o_lease_ms, o_expires_at_us, o_data, o_owner, o_delete_on_release,
            o_named_by_version;
        DELETE FROM "lock_waiters"
        WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = '' AND ticket = p_version;
        RETURN;
    END IF;

    v_free := s.max_size - t.held;
    o_position := 0;
    IF EXISTS (SELECT 1 FROM "lock_waiters"
               WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = '') THEN
        SELECT o_seq, o_ahead, r.o_live_until_us INTO o_queue_number, o_position, v_live_until_us
        FROM "mutexes_rank"(p_tenant, p_key, '', p_version, greatest(v_free, p_max_position), o_now_us) r;
    END IF;

    IF v_free > 0 AND (o_position < v_free OR NOT p_fair) THEN
        o_outcome := 0;
        o_slot := coalesce(t.lowest_free, t.o_rows);
        o_version := p_version;
        o_fence := greatest(s.fence + 1, o_now_us);
        o_lease_ms := p_lease_ms;
        o_expires_at_us := o_now_us + p_lease_ms * 1000;
        o_owner := p_owner;
        o_delete_on_release := p_delete_on_release;
        o_named_by_version := p_named_by_version;
        IF t.lowest_free IS NULL THEN
            o_data := p_data;
            INSERT INTO "mutexes" (tenant_id, semaphore_key, mutex_key, slot, version, fence, lease_duration_ms,
                expires_at_us, data, owner, delete_on_release, named_by_version, created_at_us, updated_at_us)
            VALUES (p_tenant, p_key, p_key || '_' || lpad(o_slot::text, 10, '0'), o_slot, o_version, o_fence, o_lease_ms,
                o_expires_at_us, o_data, o_owner, o_delete_on_release, o_named_by_version, o_now_us, o_now_us);
        ELSE
            UPDATE "mutexes" SET version = o_version, fence = o_fence, lease_duration_ms = o_lease_ms,
                expires_at_us = o_expires_at_us, owner = o_owner, delete_on_release = o_delete_on_release,
                named_by_version = o_named_by_version,
                data = CASE WHEN p_data IS NOT NULL AND (p_replace_data OR data IS NULL) THEN p_data ELSE data END,
                updated_at_us = o_now_us
            WHERE tenant_id = p_tenant AND semaphore_key = p_key
              AND mutex_key = p_key || '_' || lpad(o_slot::text, 10, '0')
            RETURNING data INTO o_data;
        END IF;
        UPDATE "semaphores" SET fence = o_fence WHERE tenant_id = p_tenant AND semaphore_key = p_key;
        IF o_queue_number IS NOT NULL THEN
            DELETE FROM "lock_waiters"
            WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = '' AND ticket = p_version;
        END IF;
        RETURN;
    END IF;

    PERFORM set_config('synchronous_commit', 'off', true);
    o_outcome := 1;
    SELECT expires_at_us, owner INTO o_change_at_us, o_owner FROM "mutexes"
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND expires_at_us > o_now_us
    ORDER BY expires_at_us LIMIT 1;
    IF v_free > 0 THEN
        o_change_at_us := least(o_change_at_us, v_live_until_us);
    END IF;
    o_position := least(o_position, p_max_position);
    IF p_fair AND p_wait THEN
        o_queue_number := "mutexes_enqueue"(p_tenant, p_key, '', p_version, p_client, o_queue_number, o_now_us,
            p_waiter_ttl_ms, p_client_ttl_ms, p_max_waiters);
        IF o_queue_number IS NULL THEN
            o_outcome := 3;
        END IF;
    END IF;
END $$;

-- A renewal of a mutex is one UPDATE: should it have to wait for the row and find it changed, PostgreSQL checks the
-- conditions again, the clock's among them; if it finds it unchanged nobody was granted anything meanwhile.
CREATE OR REPLACE FUNCTION "mutexes_renew"(
    p_tenant text, p_key text, p_slot integer, p_version text, p_new_version text, p_lease_ms bigint, p_data text,
    OUT o_outcome integer, OUT o_slot integer, OUT o_version text, OUT o_fence bigint, OUT o_lease_ms bigint, OUT o_expires_at_us bigint,
    OUT o_now_us bigint, OUT o_data text, OUT o_owner text, OUT o_delete_on_release boolean, OUT o_named_by_version boolean)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    UPDATE "mutexes" SET version = p_new_version, lease_duration_ms = p_lease_ms, data = coalesce(p_data, data),
        updated_at_us = date_part('epoch', clock_timestamp()) * 1000000,
        expires_at_us = (date_part('epoch', clock_timestamp()) * 1000000)::bigint + p_lease_ms * 1000
    WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key AND p_slot IN (-1, 0)
      AND version IN (p_version, p_new_version)
      AND expires_at_us > (date_part('epoch', clock_timestamp()) * 1000000)::bigint
    RETURNING 0, slot, version, fence, lease_duration_ms, expires_at_us, updated_at_us, data, owner, delete_on_release,
        named_by_version
    INTO o_outcome, o_slot, o_version, o_fence, o_lease_ms, o_expires_at_us, o_now_us, o_data, o_owner,
        o_delete_on_release, o_named_by_version;
    IF NOT FOUND THEN
        o_outcome := 2;
    END IF;
END $$;

-- p_slot is the slot that the caller's key names, or -1 when its key names none.
CREATE OR REPLACE FUNCTION "mutexes_slot_renew"(
    p_tenant text, p_key text, p_slot integer, p_version text, p_new_version text, p_lease_ms bigint, p_data text,
    OUT o_outcome integer, OUT o_slot integer, OUT o_version text, OUT o_fence bigint, OUT o_lease_ms bigint, OUT o_expires_at_us bigint,
    OUT o_now_us bigint, OUT o_data text, OUT o_owner text, OUT o_delete_on_release boolean, OUT o_named_by_version boolean)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM 1 FROM "semaphores" WHERE tenant_id = p_tenant AND semaphore_key = p_key FOR UPDATE;
    o_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    UPDATE "mutexes" SET version = p_new_version, lease_duration_ms = p_lease_ms, data = coalesce(p_data, data),
        expires_at_us = o_now_us + p_lease_ms * 1000, updated_at_us = o_now_us
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND p_slot IN (-1, slot)
      AND version IN (p_version, p_new_version) AND expires_at_us > o_now_us
    RETURNING 0, slot, version, fence, lease_duration_ms, expires_at_us, data, owner, delete_on_release, named_by_version
    INTO o_outcome, o_slot, o_version, o_fence, o_lease_ms, o_expires_at_us, o_data, o_owner, o_delete_on_release,
        o_named_by_version;
    IF NOT FOUND THEN
        o_outcome := 2;
    END IF;
END $$;

-- Many renewals in one step, in one order for everybody; o_index is the place in the arrays, from 1.
CREATE OR REPLACE FUNCTION "mutexes_renew_many"(
    p_semaphores boolean[], p_tenants text[], p_keys text[], p_slots integer[], p_versions text[], p_new_versions text[],
    p_leases_ms bigint[], p_data text[])
RETURNS TABLE (
    o_outcome integer, o_slot integer, o_version text, o_fence bigint, o_lease_ms bigint, o_expires_at_us bigint,
    o_now_us bigint, o_data text, o_owner text, o_delete_on_release boolean, o_named_by_version boolean, o_index bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT * FROM unnest(p_semaphores, p_tenants, p_keys, p_slots, p_versions, p_new_versions, p_leases_ms, p_data)
            WITH ORDINALITY AS u (semaphore, tenant, key, slot, version, new_version, lease_ms, data, ordinality)
            ORDER BY u.semaphore, u.tenant COLLATE "C", u.key COLLATE "C"
    LOOP
        IF r.semaphore THEN
            RETURN QUERY SELECT f.*, r.ordinality FROM "mutexes_slot_renew"(
                r.tenant, r.key, r.slot, r.version, r.new_version, r.lease_ms, r.data) f;
        ELSE
            RETURN QUERY SELECT f.*, r.ordinality FROM "mutexes_renew"(
                r.tenant, r.key, r.slot, r.version, r.new_version, r.lease_ms, r.data) f;
        END IF;
    END LOOP;
END $$;

-- As renew: one UPDATE does it. What it leaves of a deleted mutex is its fence, and its version so that a retry is known.
-- A release that a crash of the server forgets only costs waiting until the lease ends: the caller may choose not to wait for
-- the disk (p_durable false), unless it brings data.
CREATE OR REPLACE FUNCTION "mutexes_release"(
    p_tenant text, p_key text, p_slot integer, p_version text, p_delete boolean, p_data text, p_durable boolean)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_now_us bigint := date_part('epoch', clock_timestamp()) * 1000000;
    v_deleted_at_us bigint;
BEGIN
    UPDATE "mutexes" SET expires_at_us = 0, updated_at_us = v_now_us,
        data = CASE WHEN p_delete OR delete_on_release OR deleted_at_us > 0 THEN NULL ELSE coalesce(p_data, data) END,
        deleted_at_us = CASE WHEN deleted_at_us > 0 THEN deleted_at_us WHEN p_delete OR delete_on_release THEN v_now_us
            ELSE 0 END
    WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key AND p_slot IN (-1, 0) AND version = p_version
    RETURNING deleted_at_us INTO v_deleted_at_us;
    IF NOT FOUND THEN
        SELECT deleted_at_us INTO v_deleted_at_us FROM "mutexes"
        WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key;
        RETURN CASE WHEN FOUND AND v_deleted_at_us = 0 THEN 1 ELSE 2 END;
    END IF;
    IF NOT p_durable AND p_data IS NULL THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    IF EXISTS (SELECT 1 FROM "lock_waiters"
               WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key) THEN
        PERFORM "mutexes_wake"(p_tenant, '', p_key, 1, v_now_us);
    END IF;
    IF v_deleted_at_us > 0 THEN
        PERFORM "mutexes_purge"(v_now_us);
    END IF;
    RETURN 0;
END $$;

CREATE OR REPLACE FUNCTION "mutexes_slot_release"(
    p_tenant text, p_key text, p_slot integer, p_version text, p_delete boolean, p_data text, p_durable boolean)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_now_us bigint;
    v_max_size integer;
    v_mutex_key text;
BEGIN
    SELECT max_size INTO v_max_size FROM "semaphores"
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND deleted_at_us = 0 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 2;
    END IF;
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    SELECT mutex_key INTO v_mutex_key FROM "mutexes"
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND version = p_version AND p_slot IN (-1, slot)
    ORDER BY expires_at_us DESC LIMIT 1;
    IF NOT FOUND THEN
        RETURN 1;
    END IF;
    UPDATE "mutexes" SET expires_at_us = 0, updated_at_us = v_now_us,
        data = CASE WHEN p_delete OR delete_on_release THEN NULL ELSE coalesce(p_data, data) END
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = v_mutex_key;
    IF NOT p_durable AND p_data IS NULL THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    IF EXISTS (SELECT 1 FROM "lock_waiters"
               WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = '') THEN
        PERFORM "mutexes_slot_wake"(p_tenant, p_key, v_max_size, v_now_us);
    END IF;
    RETURN 0;
END $$;

-- Rings as many waiters of a semaphore as it has free slots.
CREATE OR REPLACE FUNCTION "mutexes_slot_wake"(p_tenant text, p_key text, p_max_size integer, p_now_us bigint)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    PERFORM "mutexes_wake"(p_tenant, p_key, '', p_max_size - count(*), p_now_us) FROM "mutexes"
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND expires_at_us > p_now_us HAVING count(*) < p_max_size;
END $$;

-- Ends an acquisition: its place in the queue goes, its grant too. Whoever is next may go ahead.
CREATE OR REPLACE FUNCTION "mutexes_abandon"(p_tenant text, p_key text, p_version text)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_now_us bigint;
    v_expires_at_us bigint;
BEGIN
    SELECT expires_at_us INTO v_expires_at_us FROM "mutexes"
    WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM "lock_waiters"
    WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key AND ticket = p_version;
    UPDATE "mutexes" SET expires_at_us = 0, updated_at_us = v_now_us,
        data = CASE WHEN delete_on_release THEN NULL ELSE data END,
        deleted_at_us = CASE WHEN delete_on_release THEN v_now_us ELSE 0 END
    WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key AND version = p_version
      AND expires_at_us > 0;
    IF FOUND OR v_expires_at_us <= v_now_us THEN
        PERFORM "mutexes_wake"(p_tenant, '', p_key, 1, v_now_us);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION "mutexes_slot_abandon"(p_tenant text, p_key text, p_version text)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_now_us bigint;
    v_max_size integer;
BEGIN
    SELECT max_size INTO v_max_size FROM "semaphores"
    WHERE tenant_id = p_tenant AND semaphore_key = p_key FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM "lock_waiters"
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND mutex_key = '' AND ticket = p_version;
    UPDATE "mutexes" SET expires_at_us = 0, updated_at_us = v_now_us,
        data = CASE WHEN delete_on_release THEN NULL ELSE data END
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND version = p_version AND expires_at_us > 0;
    PERFORM "mutexes_slot_wake"(p_tenant, p_key, v_max_size, v_now_us);
END $$;

-- Deletes a few tombstones that are older than a day. Rows that somebody uses just now are left for another time.
CREATE OR REPLACE FUNCTION "mutexes_purge"(p_now_us bigint)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM "mutexes" WHERE (tenant_id, semaphore_key, mutex_key) IN (
        SELECT tenant_id, semaphore_key, mutex_key FROM "mutexes"
        WHERE deleted_at_us > 0 AND deleted_at_us < p_now_us - 86400000000
        ORDER BY deleted_at_us LIMIT 4 FOR UPDATE SKIP LOCKED);
    DELETE FROM "semaphores" WHERE (tenant_id, semaphore_key) IN (
        SELECT tenant_id, semaphore_key FROM "semaphores"
        WHERE deleted_at_us > 0 AND deleted_at_us < p_now_us - 86400000000
        ORDER BY deleted_at_us LIMIT 4 FOR UPDATE SKIP LOCKED);
END $$;

CREATE OR REPLACE FUNCTION "mutexes_delete"(p_tenant text, p_key text, p_version text)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_now_us bigint;
    v_version text;
    v_expires_at_us bigint;
BEGIN
    SELECT version, expires_at_us INTO v_version, v_expires_at_us FROM "mutexes"
    WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key AND deleted_at_us = 0 FOR UPDATE;
    IF NOT FOUND OR v_version <> p_version THEN
        RETURN 2;
    END IF;
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    IF v_expires_at_us > v_now_us THEN
        RETURN 4;
    END IF;
    UPDATE "mutexes" SET version = '', expires_at_us = 0, data = NULL, deleted_at_us = v_now_us, updated_at_us = v_now_us
    WHERE tenant_id = p_tenant AND semaphore_key = '' AND mutex_key = p_key;
    PERFORM "mutexes_purge"(v_now_us);
    RETURN 0;
END $$;

-- Creates a semaphore or gives an existing one another size, lease and version.
CREATE OR REPLACE FUNCTION "mutexes_sem_put"(
    p_tenant text, p_key text, p_version text, p_max_size integer, p_lease_ms bigint, p_fair boolean)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_now_us bigint;
BEGIN
    LOOP
        PERFORM 1 FROM "semaphores" WHERE tenant_id = p_tenant AND semaphore_key = p_key FOR UPDATE;
        EXIT WHEN FOUND;
        -- Made small and then enlarged below, as any other.
        v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
        INSERT INTO "semaphores" (tenant_id, semaphore_key, version, max_size, lease_duration_ms, created_at_us, updated_at_us)
        VALUES (p_tenant, p_key, p_version, 1, p_lease_ms, v_now_us, v_now_us) ON CONFLICT DO NOTHING;
    END LOOP;
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    IF EXISTS (SELECT 1 FROM "mutexes" WHERE tenant_id = p_tenant AND semaphore_key = p_key
               AND slot >= p_max_size AND expires_at_us > v_now_us) THEN
        RETURN 4;
    END IF;
    DELETE FROM "mutexes" WHERE tenant_id = p_tenant AND semaphore_key = p_key AND slot >= p_max_size;
    UPDATE "semaphores" SET version = p_version, max_size = p_max_size, lease_duration_ms = p_lease_ms,
        fair_semaphore = coalesce(p_fair, deleted_at_us = 0 AND fair_semaphore),
        created_at_us = CASE WHEN deleted_at_us > 0 THEN v_now_us ELSE created_at_us END,
        deleted_at_us = 0, updated_at_us = v_now_us
    WHERE tenant_id = p_tenant AND semaphore_key = p_key;
    PERFORM "mutexes_slot_wake"(p_tenant, p_key, p_max_size, v_now_us);
    RETURN 0;
END $$;

-- Deletes a semaphore with its slots; its fence stays.
CREATE OR REPLACE FUNCTION "mutexes_sem_delete"(p_tenant text, p_key text, p_version text)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_now_us bigint;
    v_version text;
BEGIN
    SELECT version INTO v_version FROM "semaphores"
    WHERE tenant_id = p_tenant AND semaphore_key = p_key AND deleted_at_us = 0 FOR UPDATE;
    IF NOT FOUND OR v_version <> p_version THEN
        RETURN 2;
    END IF;
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    IF EXISTS (SELECT 1 FROM "mutexes"
               WHERE tenant_id = p_tenant AND semaphore_key = p_key AND expires_at_us > v_now_us) THEN
        RETURN 4;
    END IF;
    DELETE FROM "mutexes" WHERE tenant_id = p_tenant AND semaphore_key = p_key;
    UPDATE "semaphores" SET version = '', deleted_at_us = v_now_us, updated_at_us = v_now_us
    WHERE tenant_id = p_tenant AND semaphore_key = p_key;
    PERFORM "mutexes_purge"(v_now_us);
    RETURN 0;
END $$;

INSERT INTO db_locks_migrations (mutexes_table, version, semaphores_table, waiters_table)
VALUES ('mutexes', '00000000000002', 'semaphores', 'lock_waiters')
ON CONFLICT DO NOTHING;

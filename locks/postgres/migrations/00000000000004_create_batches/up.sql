-- Many operations of one process in one transaction (group commit). Safe to run again and beside running clients.
--
-- A batch never waits for a row: what somebody else has locked is skipped, and so is whatever is not the usual case. The functions
-- answer only for what they have done; the rest is asked for again, each by itself, with the functions of the second migration. So
-- batches cannot deadlock, and one row that is locked for long does not keep the others waiting.
-- As there: first the row is locked, then the clock and the queue are looked at, in a statement of its own, which sees all that was
-- committed before the lock was got. The rows are found one by one (LATERAL) whatever the planner thinks of the table's size.
-- The arrays have one element for each request, no two for the same mutex; o_index is the place in them, from 1.

-- Mutexes that are there, free, and that nobody waits for.
CREATE OR REPLACE FUNCTION "mutexes_acquire_many"(
    p_tenants text[], p_keys text[], p_versions text[], p_owners text[], p_leases_ms bigint[], p_data text[],
    p_replace_data boolean[], p_delete_on_release boolean[])
RETURNS TABLE (o_index bigint, o_fence bigint, o_now_us bigint, o_data text)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now_us bigint := date_part('epoch', clock_timestamp()) * 1000000;
    v_places tid[];
    v_indexes bigint[];
BEGIN
    SELECT array_agg(l.place), array_agg(u.ordinality) INTO v_places, v_indexes
    FROM unnest(p_tenants, p_keys) WITH ORDINALITY AS u (tenant, key, ordinality), LATERAL (
        SELECT m.ctid AS place FROM "mutexes" m
        WHERE m.tenant_id = u.tenant AND m.semaphore_key = '' AND m.mutex_key = u.key AND m.expires_at_us <= v_now_us
        FOR UPDATE SKIP LOCKED) l;
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    RETURN QUERY
    UPDATE "mutexes" m SET version = p_versions[u.i], fence = greatest(m.fence + 1, v_now_us),
        lease_duration_ms = p_leases_ms[u.i], expires_at_us = v_now_us + p_leases_ms[u.i] * 1000,
        data = CASE WHEN p_data[u.i] IS NOT NULL AND (p_replace_data[u.i] OR m.data IS NULL) THEN p_data[u.i] ELSE m.data END,
        owner = p_owners[u.i], delete_on_release = p_delete_on_release[u.i],
        deleted_at_us = 0, created_at_us = CASE WHEN m.deleted_at_us > 0 THEN v_now_us ELSE m.created_at_us END,
        updated_at_us = v_now_us
    FROM unnest(v_places, v_indexes) AS u (place, i)
    WHERE m.ctid = u.place AND (SELECT true FROM "lock_waiters" w
        WHERE w.tenant_id = m.tenant_id AND w.semaphore_key = '' AND w.mutex_key = m.mutex_key LIMIT 1) IS NULL
    RETURNING u.i, m.fence, v_now_us, m.data;
END $$;

-- Mutexes and slots whose version is the caller's and whose lease is not over. Several slots of one semaphore may be among them.
CREATE OR REPLACE FUNCTION "mutexes_renew_free"(
    p_semaphores boolean[], p_tenants text[], p_keys text[], p_slots integer[], p_versions text[], p_new_versions text[],
    p_leases_ms bigint[], p_data text[])
RETURNS TABLE (
    o_index bigint, o_slot integer, o_version text, o_fence bigint, o_lease_ms bigint, o_expires_at_us bigint,
    o_now_us bigint, o_data text, o_owner text, o_delete_on_release boolean, o_named_by_version boolean)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now_us bigint;
    v_places tid[];
    v_indexes bigint[];
    i bigint;
BEGIN
    SELECT array_agg(l.place), array_agg(u.ordinality) INTO v_places, v_indexes
    FROM unnest(p_semaphores, p_tenants, p_keys, p_slots, p_versions, p_new_versions) WITH ORDINALITY
        AS u (semaphore, tenant, key, slot, version, new_version, ordinality), LATERAL (
        SELECT m.ctid AS place FROM "mutexes" m
        WHERE m.tenant_id = u.tenant AND m.semaphore_key = '' AND m.mutex_key = u.key
          AND m.version IN (u.version, u.new_version)
        FOR UPDATE SKIP LOCKED) l
    WHERE NOT u.semaphore AND u.slot IN (-1, 0);
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    RETURN QUERY
    UPDATE "mutexes" m SET version = p_new_versions[u.i], lease_duration_ms = p_leases_ms[u.i],
        data = coalesce(p_data[u.i], m.data), expires_at_us = v_now_us + p_leases_ms[u.i] * 1000, updated_at_us = v_now_us
    FROM unnest(v_places, v_indexes) AS u (place, i)
    WHERE m.ctid = u.place AND m.expires_at_us > v_now_us
    RETURNING u.i, m.slot, m.version, m.fence, m.lease_duration_ms, m.expires_at_us, m.updated_at_us, m.data, m.owner,
        m.delete_on_release, m.named_by_version;
    FOR i IN SELECT u.ordinality FROM unnest(p_semaphores) WITH ORDINALITY AS u (semaphore, ordinality) WHERE u.semaphore
    LOOP
        PERFORM 1 FROM "semaphores" WHERE tenant_id = p_tenants[i] AND semaphore_key = p_keys[i] FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            RETURN QUERY SELECT i, f.o_slot, f.o_version, f.o_fence, f.o_lease_ms, f.o_expires_at_us, f.o_now_us, f.o_data,
                f.o_owner, f.o_delete_on_release, f.o_named_by_version
            FROM "mutexes_slot_renew"(p_tenants[i], p_keys[i], p_slots[i], p_versions[i], p_new_versions[i],
                p_leases_ms[i], p_data[i]) f
            WHERE f.o_outcome = 0;
        END IF;
    END LOOP;
END $$;

-- Mutexes whose version is the caller's. Those who wait for one of them are rung.
CREATE OR REPLACE FUNCTION "mutexes_release_many"(
    p_tenants text[], p_keys text[], p_versions text[], p_delete boolean[], p_data text[], p_durable boolean)
RETURNS TABLE (o_index bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    v_now_us bigint;
    v_places tid[];
    v_indexes bigint[];
    v_deleted boolean := false;
    r record;
BEGIN
    SELECT array_agg(l.place), array_agg(u.ordinality) INTO v_places, v_indexes
    FROM unnest(p_tenants, p_keys, p_versions) WITH ORDINALITY AS u (tenant, key, version, ordinality), LATERAL (
        SELECT m.ctid AS place FROM "mutexes" m
        WHERE m.tenant_id = u.tenant AND m.semaphore_key = '' AND m.mutex_key = u.key AND m.version = u.version
        FOR UPDATE SKIP LOCKED) l;
    v_now_us := date_part('epoch', clock_timestamp()) * 1000000;
    IF NOT p_durable AND cardinality(array_remove(p_data, NULL)) = 0 THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    FOR r IN
        UPDATE "mutexes" m SET expires_at_us = 0, updated_at_us = v_now_us,
            data = CASE WHEN p_delete[u.i] OR m.delete_on_release OR m.deleted_at_us > 0 THEN NULL
                ELSE coalesce(p_data[u.i], m.data) END,
            deleted_at_us = CASE WHEN m.deleted_at_us > 0 THEN m.deleted_at_us
                WHEN p_delete[u.i] OR m.delete_on_release THEN v_now_us ELSE 0 END
        FROM unnest(v_places, v_indexes) AS u (place, i)
        WHERE m.ctid = u.place
        RETURNING u.i, m.tenant_id, m.mutex_key, m.deleted_at_us > 0 AS deleted, (SELECT true FROM "lock_waiters" w
            WHERE w.tenant_id = m.tenant_id AND w.semaphore_key = '' AND w.mutex_key = m.mutex_key LIMIT 1) AS waited_for
    LOOP
        IF r.waited_for THEN
            PERFORM "mutexes_wake"(r.tenant_id, '', r.mutex_key, 1, v_now_us);
        END IF;
        v_deleted := v_deleted OR r.deleted;
        o_index := r.i;
        RETURN NEXT;
    END LOOP;
    IF v_deleted THEN
        PERFORM "mutexes_purge"(v_now_us);
    END IF;
END $$;

INSERT INTO db_locks_migrations (mutexes_table, version, semaphores_table, waiters_table)
VALUES ('mutexes', '00000000000004', 'semaphores', 'lock_waiters')
ON CONFLICT DO NOTHING;

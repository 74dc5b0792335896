-- Slots of many semaphores in one transaction (group commit), as the fourth migration has it for mutexes. Safe to run again and beside
-- running clients.
--
-- As there a batch never waits: a semaphore that somebody else is at is skipped, and the functions answer only for what they have done.
-- Whoever does something to a slot locks the row of its semaphore first, so whoever has that row need not wait for a slot. The rules
-- are those of the functions for one slot, which are called here. The arrays have one element for each request, no two for one
-- semaphore; o_index is the place in them, from 1.

-- Slots that are free, for those whose turn it is.
CREATE OR REPLACE FUNCTION "mutexes_slot_acquire_many"(
    p_tenants text[], p_keys text[], p_versions text[], p_owners text[], p_leases_ms bigint[], p_max_sizes integer[],
    p_named_by_version boolean[], p_data text[], p_replace_data boolean[], p_delete_on_release boolean[], p_fair boolean[],
    p_client text, p_waiter_ttl_ms bigint, p_client_ttl_ms bigint, p_max_waiters bigint, p_max_position bigint)
RETURNS TABLE (
    o_index bigint, o_slot integer, o_version text, o_fence bigint, o_lease_ms bigint, o_expires_at_us bigint,
    o_now_us bigint, o_data text, o_owner text, o_delete_on_release boolean, o_named_by_version boolean)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    v_synchronous text := current_setting('synchronous_commit');
BEGIN
    FOR i IN 1..cardinality(p_keys) LOOP
        PERFORM 1 FROM "semaphores" WHERE tenant_id = p_tenants[i] AND semaphore_key = p_keys[i] FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            -- Who is refused asks again by himself, and takes his place in the queue then.
            RETURN QUERY SELECT i::bigint, f.o_slot, f.o_version, f.o_fence, f.o_lease_ms, f.o_expires_at_us, f.o_now_us, f.o_data,
                f.o_owner, f.o_delete_on_release, f.o_named_by_version
            FROM "mutexes_slot_acquire"(p_tenants[i], p_keys[i], p_versions[i], p_owners[i], p_leases_ms[i], p_max_sizes[i],
                p_named_by_version[i], p_data[i], p_replace_data[i], p_delete_on_release[i], false, false, p_fair[i], false,
                p_client, p_waiter_ttl_ms, p_client_ttl_ms, p_max_waiters, p_max_position) f
            WHERE f.o_outcome = 0;
        END IF;
    END LOOP;
    -- A refusal alone need not be on disk; here it may stand beside grants.
    PERFORM set_config('synchronous_commit', v_synchronous, true);
END $$;

-- Slots whose version is the caller's. Those who wait for one of them are rung.
CREATE OR REPLACE FUNCTION "mutexes_slot_release_many"(
    p_tenants text[], p_keys text[], p_slots integer[], p_versions text[], p_delete boolean[], p_data text[], p_durable boolean)
RETURNS TABLE (o_index bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    FOR i IN 1..cardinality(p_keys) LOOP
        PERFORM 1 FROM "semaphores" WHERE tenant_id = p_tenants[i] AND semaphore_key = p_keys[i] FOR UPDATE SKIP LOCKED;
        IF FOUND AND "mutexes_slot_release"(p_tenants[i], p_keys[i], p_slots[i], p_versions[i], p_delete[i], p_data[i],
                true) = 0 THEN
            o_index := i;
            RETURN NEXT;
        END IF;
    END LOOP;
    IF NOT p_durable AND cardinality(array_remove(p_data, NULL)) = 0 THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
END $$;

INSERT INTO db_locks_migrations (mutexes_table, version, semaphores_table, waiters_table)
VALUES ('mutexes', '00000000000005', 'semaphores', 'lock_waiters')
ON CONFLICT DO NOTHING;

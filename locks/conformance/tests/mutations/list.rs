//! What is changed, and which trial must notice.

/// One change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutation {
    pub(crate) store: StoreName,
    pub(crate) name: &'static str,
    pub(crate) trial: &'static str,
    /// Text and what takes its place, wherever it stands.
    pub(crate) edits: &'static [(&'static str, &'static str)],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreName {
    Sqlite,
    Postgres,
    Mysql,
    Redis,
    DynamoDb,
}

pub(crate) const STORES: [StoreName; 5] =
    [StoreName::Sqlite, StoreName::Postgres, StoreName::Mysql, StoreName::Redis, StoreName::DynamoDb];

/// The name of no change.
pub(crate) const NOTHING: &str = "nothing";

/// Every change.
pub(crate) fn all() -> Vec<Mutation> {
    let lists = [
        (StoreName::Sqlite, SQLITE),
        (StoreName::Postgres, POSTGRES),
        (StoreName::Mysql, MYSQL),
        (StoreName::Redis, REDIS),
        (StoreName::DynamoDb, DYNAMODB),
    ];
    let of = |(store, list): (StoreName, &'static [Entry])| {
        list.iter().map(move |(name, trial, edits)| Mutation { store, name, trial, edits })
    };
    lists.into_iter().flat_map(of).collect()
}

type Entry = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const NEWCOMER: &str = "fairness::newcomer_never_passes_a_live_waiter";
const SEMAPHORE_ORDER: &str = "fairness::ten_waiters_of_a_semaphore_are_served_in_order";
const FOREIGN_RELEASE: &str = "mutex::release_by_another_version_changes_nothing";
const SEMAPHORE_FOREIGN_RELEASE: &str = "semaphore::release_by_another_version_changes_nothing";
const VERSION_CHANGES: &str = "mutex::renewal_changes_the_version";
const EXPIRED_RENEWAL: &str = "leases::renewal_of_an_expired_lease_is_refused";
const TOKENS: &str = "mutex::tokens_grow";
const TOKENS_AFTER_DELETION: &str = "mutex::tokens_grow_across_deletion";
const SAME_GRANT: &str = "mutex::acquire_retried_gets_the_same_grant";
const SECOND: &str = "mutex::second_is_refused_and_told_who_holds_it";
const DEAD: &str = "fairness::dead_waiter_is_skipped_when_its_client_is_silent";
const ONE_OF_MANY: &str = "concurrency::one_of_many_gets_a_new_lock";
const HOLDERS_LEASE: &str = "leases::the_holders_lease_counts_not_the_askers";
const KEPT: &str = "fairness::places_are_kept_for_those_who_do_not_ask";
const LEAVES: &str = "fairness::granted_waiter_leaves_the_queue";
const TOGETHER_OWN: &str = "together::each_gets_its_own";
const TOGETHER_HELD: &str = "together::held_ones_are_refused_and_the_others_granted";
const TOGETHER_WAITER: &str = "together::nobody_passes_a_waiter";
const TOGETHER_RELEASE: &str = "together::stale_versions_release_nothing";
const TOGETHER_RENEW: &str = "together::stale_versions_renew_nothing";
const TOGETHER_EXPIRED: &str = "together::expired_ones_are_not_renewed";
const TOGETHER_SLOTS: &str = "together::slots_are_told_apart";
const OLDER_TOKENS: &str = "fenced::older_tokens_are_refused";

const SQLITE: &[Entry] = &[
    (
        "places_not_kept",
        KEPT,
        &[("SET deadline_us = ?5 WHERE", "SET deadline_us = min(deadline_us, ?5) WHERE")],
    ),
    (
        "queue_ignored",
        NEWCOMER,
        &[(
            "SELECT EXISTS (SELECT 1 FROM \"lock_waiters\"",
            "SELECT 0 AND EXISTS (SELECT 1 FROM \"lock_waiters\"",
        )],
    ),
    (
        "dead_waiters_count",
        DEAD,
        &[(
            "SELECT deadline_us FROM \"lock_waiters_clients\"",
            "SELECT deadline_us + 3600000000 FROM \"lock_waiters_clients\"",
        )],
    ),
    ("token_reset_when_stored", VERSION_CHANGES, &[("fence = excluded.fence, lease", "fence = 1, lease")]),
    (
        "owner_test_dropped_on_release_of_a_slot",
        SEMAPHORE_FOREIGN_RELEASE,
        &[("AND version = ?3\n", "AND (version = ?3 OR expires_at_us > 0)\n")],
    ),
    (
        "held_slots_not_counted",
        "semaphore::slots_are_granted_in_order_until_full",
        &[("coalesce(sum(expires_at_us > ?3), 0)", "0 * coalesce(sum(expires_at_us > ?3), 0)")],
    ),
    (
        "whole_queue_leaves_with_one",
        "fairness::ten_waiters_of_a_mutex_are_served_in_order",
        &[(
            "DELETE FROM \"lock_waiters\" WHERE tenant_id = ?1 AND semaphore_key = ?2 AND mutex_key = ?3 AND ticket = ?4",
            "DELETE FROM \"lock_waiters\" WHERE tenant_id = ?1 AND semaphore_key = ?2 AND mutex_key = ?3 AND ?4 <> ''",
        )],
    ),
    (
        "client_clock",
        "store::clients_see_the_same_locks",
        &[(
            "SELECT boot_id, offset_us FROM",
            "SELECT boot_id, offset_us + CAST(julianday('now') * 86400000 AS INTEGER) % 100000000 * 1000000000 FROM",
        )],
    ),
    (
        "register_takes_any_token",
        OLDER_TOKENS,
        &[("CASE WHEN f.token <= excluded.token THEN", "CASE WHEN 1 THEN")],
    ),
];

const POSTGRES: &[Entry] = &[
    (
        "owner_test_dropped_on_release",
        FOREIGN_RELEASE,
        &[(
            "p_slot IN (-1, 0) AND version = p_version\n    RETURNING deleted_at_us",
            "p_slot IN (-1, 0)\n    RETURNING deleted_at_us",
        )],
    ),
    (
        "owner_test_dropped_on_renewal",
        VERSION_CHANGES,
        &[(
            "      AND version IN (p_version, p_new_version)\n      AND expires_at_us",
            "      AND expires_at_us",
        )],
    ),
    (
        "expired_leases_are_renewed",
        EXPIRED_RENEWAL,
        &[(
            "      AND version IN (p_version, p_new_version)\n      AND expires_at_us > (date_part('epoch', clock_timestamp()) * 1000000)::bigint\n",
            "      AND version IN (p_version, p_new_version)\n",
        )],
    ),
    ("token_reset", TOKENS, &[("o_fence := greatest(m.fence + 1, o_now_us)", "o_fence := 1")]),
    (
        "token_reset_at_deletion",
        TOKENS_AFTER_DELETION,
        &[(
            "o_fence := greatest(m.fence + 1, o_now_us)",
            "o_fence := CASE WHEN m.deleted_at_us > 0 THEN 1 ELSE m.fence + 1 END",
        )],
    ),
    ("queue_ignored", NEWCOMER, &[("AND (o_position = 0 OR NOT p_fair) THEN", "THEN")]),
    (
        "queue_ignored_on_semaphores",
        SEMAPHORE_ORDER,
        &[("IF v_free > 0 AND (o_position < v_free OR NOT p_fair) THEN", "IF v_free > 0 THEN")],
    ),
    (
        "retried_acquire_is_another",
        SAME_GRANT,
        &[(
            "AND (m.version = p_version OR (p_reentrant AND m.owner = p_owner AND p_owner <> '')) THEN",
            "AND p_reentrant AND m.owner = p_owner AND p_owner <> '' THEN",
        )],
    ),
    (
        "dead_waiters_count",
        DEAD,
        &[(
            "AND w.deadline_us > p_now_us AND c.deadline_us > p_now_us\n        ORDER BY w.seq LIMIT p_limit",
            "AND w.deadline_us > p_now_us\n        ORDER BY w.seq LIMIT p_limit",
        )],
    ),
    (
        "askers_lease_counts",
        HOLDERS_LEASE,
        &[(
            "IF m.expires_at_us <= o_now_us AND",
            "IF m.expires_at_us - (m.lease_duration_ms - p_lease_ms) * 1000 <= o_now_us AND",
        )],
    ),
    (
        "client_clock",
        ONE_OF_MANY,
        &[(
            "    o_now_us := date_part('epoch', clock_timestamp()) * 1000000;\n    IF p_only_if_exists AND m.deleted_at_us",
            "    o_now_us := date_part('epoch', clock_timestamp() + make_interval(secs => abs(hashtext(p_version) % 10000))) * 1000000;\n    IF p_only_if_exists AND m.deleted_at_us",
        )],
    ),
    (
        "owner_test_dropped_on_release_of_a_slot",
        SEMAPHORE_FOREIGN_RELEASE,
        &[(
            "AND version = p_version AND p_slot IN (-1, slot)\n    ORDER BY",
            "AND p_slot IN (-1, slot)\n    ORDER BY",
        )],
    ),
    (
        "batch_grants_what_is_held",
        TOGETHER_HELD,
        &[(
            "m.mutex_key = u.key AND m.expires_at_us <= v_now_us\n        FOR UPDATE",
            "m.mutex_key = u.key\n        FOR UPDATE",
        )],
    ),
    (
        "batch_ignores_the_queue",
        TOGETHER_WAITER,
        &[("m.mutex_key LIMIT 1) IS NULL", "m.mutex_key AND false LIMIT 1) IS NULL")],
    ),
    (
        "batch_mixes_up_its_answers",
        TOGETHER_OWN,
        &[(
            "RETURNING u.i, m.fence, v_now_us, m.data;",
            "RETURNING 1 + cardinality(p_keys) - u.i, m.fence, v_now_us, m.data;",
        )],
    ),
    (
        "batch_mixes_up_its_versions",
        TOGETHER_OWN,
        &[(
            "SET version = p_versions[u.i], fence",
            "SET version = p_versions[1 + cardinality(p_versions) - u.i], fence",
        )],
    ),
    (
        "batch_resets_tokens",
        TOGETHER_OWN,
        &[("fence = greatest(m.fence + 1, v_now_us),", "fence = v_now_us % 1000,")],
    ),
    (
        "batch_releases_any_version",
        TOGETHER_RELEASE,
        &[(
            "m.mutex_key = u.key AND m.version = u.version\n        FOR UPDATE",
            "m.mutex_key = u.key\n        FOR UPDATE",
        )],
    ),
    (
        "batch_renews_any_version",
        TOGETHER_RENEW,
        &[(
            "m.mutex_key = u.key\n          AND m.version IN (u.version, u.new_version)\n",
            "m.mutex_key = u.key\n",
        )],
    ),
    (
        "batch_renews_expired_leases",
        TOGETHER_EXPIRED,
        &[("WHERE m.ctid = u.place AND m.expires_at_us > v_now_us\n", "WHERE m.ctid = u.place\n")],
    ),
    (
        "batch_of_slots_mixes_up_its_answers",
        TOGETHER_SLOTS,
        &[("RETURN QUERY SELECT i::bigint,", "RETURN QUERY SELECT (1 + cardinality(p_keys) - i)::bigint,")],
    ),
    (
        "batch_of_slots_releases_any_version",
        TOGETHER_SLOTS,
        &[(
            "p_delete[i], p_data[i],\n                true) = 0 THEN",
            "p_delete[i], p_data[i],\n                true) >= 0 THEN",
        )],
    ),
];

const MYSQL: &[Entry] = &[
    (
        "owner_test_dropped_on_release",
        FOREIGN_RELEASE,
        &[(
            "IF v_version = p_version AND v_deleted = 0 THEN\n    SET v_status = 1, v_tombstone",
            "IF v_deleted = 0 THEN\n    SET v_status = 1, v_tombstone",
        )],
    ),
    (
        "owner_test_dropped_on_quick_release",
        SEMAPHORE_FOREIGN_RELEASE,
        &[(
            "AND mutex_key = p_slot_key AND version = p_version\n        AND expires_at_us > 0",
            "AND mutex_key = p_slot_key\n        AND expires_at_us > 0",
        )],
    ),
    (
        "owner_test_dropped_on_renewal",
        VERSION_CHANGES,
        &[("AND version IN (p_version, p_new_version) AND deleted_at_us = 0", "AND deleted_at_us = 0")],
    ),
    (
        "expired_leases_are_renewed",
        EXPIRED_RENEWAL,
        &[(
            "AND deleted_at_us = 0\n      AND expires_at_us > CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);",
            "AND deleted_at_us = 0;",
        )],
    ),
    (
        "token_reset",
        TOKENS,
        &[(
            "SET fence = LAST_INSERT_ID(GREATEST(fence + 1, CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)))",
            "SET fence = LAST_INSERT_ID(1700000000000000)",
        )],
    ),
    (
        "queue_ignored",
        NEWCOMER,
        &[("IF v_expires <= v_now AND v_ahead = 0 THEN", "IF v_expires <= v_now THEN")],
    ),
    ("queue_ignored_by_the_quick", NEWCOMER, &[("IF(p_flags & 16, queued_until_us, 0)", "0")]),
    (
        "queue_ignored_on_semaphores",
        SEMAPHORE_ORDER,
        &[("v_free <= 0 OR v_ahead >= v_free) THEN", "v_free <= 0) THEN")],
    ),
    (
        "retried_acquire_is_another",
        SAME_GRANT,
        &[(
            "ELSEIF v_expires > v_now AND (v_version = p_version OR (p_flags & 4 AND v_owner = p_owner)) THEN\n    -- R2",
            "ELSEIF v_expires > v_now AND (p_flags & 4 AND v_owner = p_owner) THEN\n    -- R2",
        )],
    ),
    (
        "dead_waiters_count",
        DEAD,
        &[(
            "AND w.deadline_us > p_now AND c.deadline_us > p_now\n      LIMIT",
            "AND w.deadline_us > p_now\n      LIMIT",
        )],
    ),
    (
        "held_is_granted_quickly",
        SECOND,
        &[("GREATEST(fence + 1, expires_at_us, IF(", "GREATEST(fence + 1, IF(")],
    ),
    (
        "client_clock",
        ONE_OF_MANY,
        &[(
            "  SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED);\n\n  IF (p_flags & 8) AND (v_version IS NULL",
            "  SET v_now = CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED) + CRC32(p_version) * 10;\n\n  IF (p_flags & 8) AND (v_version IS NULL",
        )],
    ),
];

const REDIS: &[Entry] = &[
    ("places_not_kept", KEPT, &[("redis.call('HSET', waiters, 't' .. ticket, deadline)\n", "\n")]),
    (
        "owner_test_dropped_on_release",
        FOREIGN_RELEASE,
        &[("if version ~= ARGV[1] then\n  return 0\nend", "")],
    ),
    (
        "owner_test_dropped_on_renewal",
        VERSION_CHANGES,
        &[("local current = version == ARGV[1] or version == ARGV[2]", "local current = version")],
    ),
    (
        "expired_leases_are_renewed",
        EXPIRED_RENEWAL,
        &[("if not current or tonumber(ends or 0) <= now then", "if not current then")],
    ),
    ("token_reset", TOKENS, &[("local token = math.max((fence or 0) + 1, now)\n", "local token = 1\n")]),
    (
        "token_reset_at_deletion",
        TOKENS_AFTER_DELETION,
        &[
            ("local token = math.max((fence or 0) + 1, now)\n", "local token = (fence or 0) + 1\n"),
            ("redis.call('HDEL', row, 'v', 'l', 'e', 'o', 'd', 'x')", "redis.call('DEL', row)"),
        ],
    ),
    ("queue_ignored", NEWCOMER, &[("reply = live < free and grant() -- R4", "reply = free > 0 and grant()")]),
    (
        "queue_ignored_on_semaphores",
        SEMAPHORE_ORDER,
        &[(
            "reply = live < free and grant(lowest_free()) -- R4",
            "reply = free > 0 and grant(lowest_free())",
        )],
    ),
    (
        "retried_acquire_is_another",
        SAME_GRANT,
        &[("if held and version == ticket then\n  return go_on() -- R2\nend", "")],
    ),
    (
        "dead_waiters_count",
        DEAD,
        &[("if alive_until > now then\n      live = live + 1", "if true then\n      live = live + 1")],
    ),
    (
        "ticket_stays_after_the_grant",
        LEAVES,
        &[("if reply then\n  if queued then\n    leave(ticket)\n  end\n", "if reply then\n")],
    ),
    (
        "client_clock",
        ONE_OF_MANY,
        &[(
            "return time[1] * 1000000 + time[2]",
            "return time[1] * 1000000 + time[2] + tonumber(string.sub(redis.sha1hex(ARGV[1]), 1, 7), 16) * 100",
        )],
    ),
    (
        "register_takes_any_token",
        OLDER_TOKENS,
        &[("if seen and (#seen > #ARGV[1]", "if false and (#seen > #ARGV[1]")],
    ),
    (
        "batch_mixes_up_its_replies",
        TOGETHER_OWN,
        &[("replies[#replies + 1] = reply", "table.insert(replies, 1, reply)")],
    ),
    (
        "batch_takes_anothers_arguments",
        TOGETHER_OWN,
        &[("first_arg = first_arg + args_each", "first_arg = 3")],
    ),
];

/// Expressions may not bring a value that they do not use, so none is just left out.
const DYNAMODB: &[Entry] = &[
    (
        "owner_test_dropped_on_release",
        FOREIGN_RELEASE,
        &[(
            "s0.v = :v AND attribute_exists(s0.h)",
            "(s0.v = :v OR attribute_exists(s0.v)) AND attribute_exists(s0.h)",
        )],
    ),
    (
        "owner_test_dropped_on_renewal",
        VERSION_CHANGES,
        &[("s0.v = :v AND attribute_exists(s0.h)", "(s0.v = :v OR attribute_exists(s0.v))")],
    ),
    (
        "token_reset",
        TOKENS,
        &[(
            "if_not_exists(fence, :now) + :one, fence = if_not_exists(fence, :now) + :one",
            "if_not_exists(zz, :one) + :one, fence = if_not_exists(zz, :one) + :one, yy = :now",
        )],
    ),
    ("queue_ignored", NEWCOMER, &[("size(q) = :none", "size(q) >= :none")]),
    ("held_is_granted", SECOND, &[("attribute_not_exists(s0.h) AND NOT (s0.v = :v)", "NOT (s0.v = :v)")]),
    (
        "register_takes_any_token",
        OLDER_TOKENS,
        &[(
            "attribute_not_exists(ft) OR ft <= :token",
            "attribute_not_exists(ft) OR ft <= :token OR ft > :token",
        )],
    ),
];

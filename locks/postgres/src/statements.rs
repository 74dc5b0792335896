//! The SQL that is sent, for one set of table names. Table names are checked identifiers.

use db_locks_core::protocol::{CLIENT_TTL_MS, MAX_POSITION, MAX_WAITERS, WAITER_TTL_MS};
use tokio_postgres::types::Type;

use crate::codec::slot_columns;
use crate::config::Names;

/// The server's clock in microseconds since 1970.
const NOW: &str = "(date_part('epoch', clock_timestamp()) * 1000000)::bigint";

/// One statement and the types of its parameters, so that it needs no look-up of types by the server.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) types: Vec<Type>,
}

/// Every statement of this store. Which parameters they take is said beside their types below.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) acquire: Statement,
    pub(crate) slot_acquire: Statement,
    pub(crate) renew: Statement,
    pub(crate) slot_renew: Statement,
    pub(crate) acquire_many: Statement,
    pub(crate) renew_free: Statement,
    pub(crate) release_many: Statement,
    pub(crate) slot_acquire_many: Statement,
    pub(crate) slot_release_many: Statement,
    pub(crate) release: Statement,
    pub(crate) slot_release: Statement,
    pub(crate) abandon: Statement,
    pub(crate) slot_abandon: Statement,
    pub(crate) beat: Statement,
    pub(crate) keep_places: Statement,
    pub(crate) create_mutex: Statement,
    pub(crate) get_mutex: Statement,
    pub(crate) delete_mutex: Statement,
    pub(crate) put_semaphore: Statement,
    pub(crate) get_semaphore: Statement,
    pub(crate) get_slots: Statement,
    pub(crate) delete_semaphore: Statement,
    pub(crate) write_fenced: Statement,
    pub(crate) read_fenced: Statement,
}

impl Statements {
    /// The statements for these tables.
    pub(crate) fn new(names: &Names) -> Self {
        let Names { mutexes, semaphores, .. } = names;
        let ttls = format!("{WAITER_TTL_MS}, {CLIENT_TTL_MS}, {MAX_WAITERS}, {MAX_POSITION}");
        let columns = slot_columns(NOW);
        let text = |count: usize| vec![Type::TEXT; count];
        Self {
            // tenant, key, version, owner, lease, data, replace_data, delete_on_release, reentrant, only_if_exists, fair, wait, client
            acquire: call(
                mutexes,
                "acquire",
                &[text(4), vec![Type::INT8, Type::TEXT], bools(6), text(1)],
                &ttls,
            ),
            // tenant, key, version, owner, lease, max_size, named_by_version, data, then as above
            slot_acquire: call(
                mutexes,
                "slot_acquire",
                &[text(4), vec![Type::INT8, Type::INT4, Type::BOOL, Type::TEXT], bools(6), text(1)],
                &ttls,
            ),
            renew: call(mutexes, "renew", &[renewal_types()], ""),
            slot_renew: call(mutexes, "slot_renew", &[renewal_types()], ""),
            acquire_many: call(mutexes, "acquire_many", &[acquires_types()], ""),
            renew_free: call(mutexes, "renew_free", &[renewals_types()], ""),
            release_many: call(mutexes, "release_many", &[releases_types()], ""),
            slot_acquire_many: call(mutexes, "slot_acquire_many", &[slot_acquires_types()], &ttls),
            slot_release_many: call(mutexes, "slot_release_many", &[slot_releases_types()], ""),
            // tenant, key, slot, version, delete, data, durable
            release: call(mutexes, "release", &[release_types()], ""),
            slot_release: call(mutexes, "slot_release", &[release_types()], ""),
            abandon: call(mutexes, "abandon", &[text(3)], ""),
            slot_abandon: call(mutexes, "slot_abandon", &[text(3)], ""),
            beat: call(mutexes, "beat", &[text(1)], &format!("{NOW}, {CLIENT_TTL_MS}, 0")),
            keep_places: keep_places(&names.waiters),
            create_mutex: create_mutex(mutexes),
            get_mutex: Statement {
                sql: format!(
                    r#"SELECT {columns} FROM "{mutexes}" m
                       WHERE tenant_id = $1 AND semaphore_key = '' AND mutex_key = $2 AND deleted_at_us = 0"#
                ),
                types: text(2),
            },
            delete_mutex: call(mutexes, "delete", &[text(3)], ""),
            // tenant, key, version, max_size, lease, fair
            put_semaphore: call(mutexes, "sem_put", &[text(3), vec![Type::INT4, Type::INT8, Type::BOOL]], ""),
            get_semaphore: Statement {
                sql: format!(
                    r#"SELECT s.version, s.max_size, s.lease_duration_ms, s.fair_semaphore,
                           (SELECT count(*) FROM "{mutexes}" m WHERE m.tenant_id = $1 AND m.semaphore_key = $2
                            AND m.expires_at_us > {NOW})
                       FROM "{semaphores}" s WHERE s.tenant_id = $1 AND s.semaphore_key = $2 AND s.deleted_at_us = 0"#
                ),
                types: text(2),
            },
            get_slots: get_slots(names, &columns),
            delete_semaphore: call(mutexes, "sem_delete", &[text(3)], ""),
            write_fenced: crate::fenced::write(mutexes),
            read_fenced: crate::fenced::read(mutexes),
        }
    }
}

/// `SELECT * FROM "mutexes_release"($1, …, $6)`, with more arguments as they are.
fn call(mutexes: &str, function: &str, types: &[Vec<Type>], more: &str) -> Statement {
    let types = types.concat();
    let mut arguments: Vec<String> = (1..=types.len()).map(|number| format!("${number}")).collect();
    arguments.extend((!more.is_empty()).then(|| more.to_string()));
    Statement { sql: format!(r#"SELECT * FROM "{mutexes}_{function}"({})"#, arguments.join(", ")), types }
}

/// tenants, semaphores, mutexes, tickets; answers those that have no place. It waits for no row: whoever is at one sees to its owner
/// himself, or it is kept the next time. As after every other sign of waiting, a crash of the server may forget it.
fn keep_places(waiters: &str) -> Statement {
    Statement {
        sql: format!(
            r#"WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
               here AS MATERIALIZED (
                   SELECT l.place, u.ticket FROM quick, unnest($1, $2, $3, $4) AS u (tenant, semaphore, mutex, ticket), LATERAL (
                       SELECT w.ctid AS place FROM "{waiters}" w
                       WHERE w.tenant_id = u.tenant AND w.semaphore_key = u.semaphore AND w.mutex_key = u.mutex
                         AND w.ticket = u.ticket AND w.deadline_us > {NOW} FOR UPDATE SKIP LOCKED) l),
               kept AS (
                   UPDATE "{waiters}" w SET deadline_us = {NOW} + {WAITER_TTL_MS} * 1000
                   FROM here WHERE w.ctid = here.place RETURNING here.ticket)
               SELECT u.ticket FROM unnest($4) AS u (ticket) WHERE u.ticket NOT IN (SELECT ticket FROM kept)"#
        ),
        types: vec![Type::TEXT_ARRAY; 4],
    }
}

fn bools(count: usize) -> Vec<Type> {
    vec![Type::BOOL; count]
}

/// tenant, key, slot, version, new_version, lease, data
fn renewal_types() -> Vec<Type> {
    vec![Type::TEXT, Type::TEXT, Type::INT4, Type::TEXT, Type::TEXT, Type::INT8, Type::TEXT]
}

/// semaphores, then as for one renewal
fn renewals_types() -> Vec<Type> {
    vec![
        Type::BOOL_ARRAY,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::INT4_ARRAY,
        Type::TEXT_ARRAY,
        Type::TEXT_ARRAY,
        Type::INT8_ARRAY,
        Type::TEXT_ARRAY,
    ]
}

/// tenants, keys, versions, owners, leases, data, replace_data, delete_on_release
fn acquires_types() -> Vec<Type> {
    let texts = vec![Type::TEXT_ARRAY; 4];
    [texts, vec![Type::INT8_ARRAY, Type::TEXT_ARRAY, Type::BOOL_ARRAY, Type::BOOL_ARRAY]].concat()
}

/// tenants, keys, versions, delete, data, durable
fn releases_types() -> Vec<Type> {
    let texts = vec![Type::TEXT_ARRAY; 3];
    [texts, vec![Type::BOOL_ARRAY, Type::TEXT_ARRAY, Type::BOOL]].concat()
}

/// tenants, keys, versions, owners, leases, max_sizes, named_by_version, data, replace_data, delete_on_release, fair, client
fn slot_acquires_types() -> Vec<Type> {
    let (texts, bools) = (vec![Type::TEXT_ARRAY; 4], vec![Type::BOOL_ARRAY; 3]);
    let middle = vec![Type::INT8_ARRAY, Type::INT4_ARRAY, Type::BOOL_ARRAY, Type::TEXT_ARRAY];
    [texts, middle, bools, vec![Type::TEXT]].concat()
}

/// tenants, keys, slots, versions, delete, data, durable
fn slot_releases_types() -> Vec<Type> {
    let head = vec![Type::TEXT_ARRAY, Type::TEXT_ARRAY, Type::INT4_ARRAY, Type::TEXT_ARRAY];
    [head, vec![Type::BOOL_ARRAY, Type::TEXT_ARRAY, Type::BOOL]].concat()
}

fn release_types() -> Vec<Type> {
    vec![Type::TEXT, Type::TEXT, Type::INT4, Type::TEXT, Type::BOOL, Type::TEXT, Type::BOOL]
}

/// tenant, key, version, lease, data, delete_on_release
fn create_mutex(mutexes: &str) -> Statement {
    Statement {
        sql: format!(
            r#"INSERT INTO "{mutexes}" AS m (tenant_id, mutex_key, version, lease_duration_ms, data, delete_on_release,
                   created_at_us, updated_at_us)
               VALUES ($1, $2, $3, $4, $5, $6, {NOW}, {NOW})
               ON CONFLICT (tenant_id, semaphore_key, mutex_key) DO UPDATE SET
                   version = excluded.version, lease_duration_ms = excluded.lease_duration_ms, data = excluded.data,
                   owner = NULL, delete_on_release = excluded.delete_on_release, expires_at_us = 0, deleted_at_us = 0,
                   created_at_us = excluded.created_at_us, updated_at_us = excluded.updated_at_us
               WHERE m.deleted_at_us > 0
               RETURNING 0"#
        ),
        types: vec![Type::TEXT, Type::TEXT, Type::TEXT, Type::INT8, Type::TEXT, Type::BOOL],
    }
}

/// tenant, key. The semaphore in each row; the slot's columns are null when there is none yet.
fn get_slots(names: &Names, columns: &str) -> Statement {
    let Names { mutexes, semaphores, .. } = names;
    Statement {
        sql: format!(
            r#"SELECT s.max_size, s.lease_duration_ms, {NOW}, {columns}
               FROM "{semaphores}" s
               LEFT JOIN "{mutexes}" m ON m.tenant_id = s.tenant_id AND m.semaphore_key = s.semaphore_key
               WHERE s.tenant_id = $1 AND s.semaphore_key = $2 AND s.deleted_at_us = 0
               ORDER BY m.slot"#
        ),
        types: vec![Type::TEXT; 2],
    }
}

//! Many renewals at once: in batches of PartiQL statements, and each by itself where a batch will not do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata};
use aws_sdk_dynamodb::types::{
    BatchStatementErrorCodeEnum, BatchStatementRequest, BatchStatementResponse,
    ReturnValuesOnConditionCheckFailure,
};
use db_locks_core::combine::patience;
use db_locks_core::{LockError, LockId, LockResult, MutexLock, RenewRequest};
use futures_util::{FutureExt, StreamExt};

use crate::error::{from_sdk, may_pass, says_nothing_of_batches};
use crate::repository::{AT_ONCE, Answer, DynamoRepository};
use crate::{codec, statements};

/// The most statements that DynamoDB takes in a batch.
const BATCH: usize = 25;

/// Whether batches are worth a try here: until one is denied, or the engine turns out not to know them.
#[derive(Debug)]
pub(crate) struct Batches(AtomicBool);

impl Default for Batches {
    fn default() -> Self {
        Self(AtomicBool::new(true))
    }
}

impl Batches {
    fn work(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// From now on each renewal is a request of its own.
    fn give_up(&self, reason: &str) {
        if self.0.swap(false, Ordering::Relaxed) {
            tracing::warn!(reason, "DynamoDB: no batches; every renewal is a request of its own from now on");
        }
    }
}

/// A renewal that goes with others.
struct Member<'a> {
    place: usize,
    request: &'a RenewRequest,
    slot: u32,
}

/// The answer to a renewal of this slot, or why there is none.
type First = LockResult<(u32, Answer)>;

/// What a batch says of one of its members.
enum Told {
    Answer(Answer),
    /// Throttled, or the like: it is to be made by itself.
    Nothing,
    /// The engine does not take such a statement, or this one not.
    Invalid,
    /// No right to send batches, or not the answer that was asked for.
    Useless(&'static str),
}

impl DynamoRepository {
    /// All at once; the answers stand where their requests stood.
    pub(crate) async fn renew_all(&self, requests: &[RenewRequest]) -> Vec<LockResult<MutexLock>> {
        if !self.batches.work() {
            let alone: Vec<_> = requests.iter().map(|request| self.renew_slot(request).boxed()).collect();
            return futures_util::stream::iter(alone).buffered(AT_ONCE).collect().await;
        }
        let mut first: Vec<Option<First>> = requests.iter().map(|_| None).collect();
        // Boxed, since the compiler cannot name the lifetime of such a closure's future.
        let batches: Vec<_> =
            packed(self.members(requests)).into_iter().map(|batch| self.renew_batch(batch).boxed()).collect();
        let mut batches = futures_util::stream::iter(batches).buffer_unordered(AT_ONCE);
        while let Some(answers) = batches.next().await {
            for (place, answer) in answers {
                first[place] = Some(answer);
            }
        }
        drop(batches);
        let limit = patience(requests);
        let rest: Vec<_> = requests
            .iter()
            .zip(first)
            .map(|(request, first)| {
                let rest = async move {
                    // The others' answers wait for what is still to be asked for: not for long.
                    let reply = tokio::time::timeout(limit, self.after_batch(request, first)).await;
                    reply.unwrap_or_else(|_| Err(too_late(&request.lock)))
                };
                rest.boxed()
            })
            .collect();
        futures_util::stream::iter(rest).buffered(AT_ONCE).collect().await
    }

    /// Most answers of a batch are the last word; the others, and what has none, take requests of their own.
    async fn after_batch(&self, request: &RenewRequest, first: Option<First>) -> LockResult<MutexLock> {
        let Some(first) = first else { return self.renew_slot(request).await };
        let (slot, answer) = first?;
        self.after_renewal(request, slot, answer).await
    }

    fn members<'a>(&self, requests: &'a [RenewRequest]) -> Vec<Member<'a>> {
        let member = |(place, request): (usize, &'a RenewRequest)| {
            self.slot_to_renew(request).map(|slot| Member { place, request, slot })
        };
        requests.iter().enumerate().filter_map(member).collect()
    }

    /// Renews these in one request; who is missing in the answer is to be renewed alone.
    async fn renew_batch(&self, mut batch: Vec<Member<'_>>) -> Vec<(usize, First)> {
        // What this process itself saw run out has a longer condition.
        let now = Instant::now();
        batch.retain(|member| self.seen.over(&member.request.lock, member.slot, now).is_none());
        if batch.len() < 2 || !self.batches.work() {
            return Vec::new();
        }
        let told = match self.send_batch(&batch).await {
            Ok(told) => told,
            Err(error) => {
                return batch.iter().map(|member| (member.place, Err(error.duplicate()))).collect();
            }
        };
        if !told.is_empty() && told.iter().all(|told| matches!(told, Told::Invalid)) {
            self.batches.give_up("the engine takes none of the statements");
        }
        let mut answers = Vec::with_capacity(batch.len());
        for (member, told) in batch.iter().zip(told) {
            match told {
                Told::Answer(answer) => answers.push((member.place, Ok((member.slot, answer)))),
                Told::Nothing | Told::Invalid => {}
                Told::Useless(reason) => self.batches.give_up(reason),
            }
        }
        answers
    }

    /// Sends a batch; an empty answer means that each member is to be renewed by itself.
    async fn send_batch(&self, batch: &[Member<'_>]) -> LockResult<Vec<Told>> {
        let requests: Result<Vec<_>, _> = batch.iter().map(|member| self.statement(member)).collect();
        let requests =
            requests.map_err(|error| LockError::runtime_from("cannot build a batch of renewals", error))?;
        let sent = Instant::now();
        let request = self.client.batch_execute_statement().set_statements(Some(requests));
        match self.eager.wait(request.send(), tokio::task::yield_now).await {
            Ok(output) => {
                let replies = output.responses.unwrap_or_default();
                if replies.len() != batch.len() {
                    self.batches.give_up("an answer is not as long as its batch");
                    return Ok(Vec::new());
                }
                // An item that cannot be read is that lock's trouble: the single request tells.
                let told = |(member, reply)| told(member, reply, sent).unwrap_or(Told::Nothing);
                Ok(batch.iter().zip(replies).map(told).collect())
            }
            Err(error) if may_pass(&error) => {
                let table = batch.first().map_or("", |member| self.table(&member.request.lock));
                Err(from_sdk("renew many locks", table, error))
            }
            Err(error) => {
                if !says_nothing_of_batches(&error) {
                    self.batches.give_up(error.code().unwrap_or("the engine does not know them"));
                }
                Ok(Vec::new())
            }
        }
    }

    fn statement(&self, member: &Member<'_>) -> Result<BatchStatementRequest, BuildError> {
        let table = self.table(&member.request.lock);
        let (text, values) = statements::renew_in_batch(table, member.request, member.slot);
        BatchStatementRequest::builder()
            .statement(text)
            .set_parameters(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
    }
}

/// Batches in which each lock's item occurs once: DynamoDB refuses others as a whole.
fn packed(mut members: Vec<Member<'_>>) -> Vec<Vec<Member<'_>>> {
    // Slots of one semaphore cannot go together; so they come first, and the others fill their batches.
    members.sort_by_key(|member| !member.request.lock.is_semaphore());
    let mut batches: Vec<Vec<Member<'_>>> = Vec::new();
    let mut next_of: HashMap<&LockId, usize> = HashMap::new();
    let mut open = 0;
    for member in members {
        while batches.get(open).is_some_and(|batch| batch.len() == BATCH) {
            open += 1;
        }
        let next = next_of.entry(&member.request.lock).or_default();
        let mut at = open.max(*next);
        while batches.get(at).is_some_and(|batch| batch.len() == BATCH) {
            at += 1;
        }
        *next = at + 1;
        match batches.get_mut(at) {
            Some(batch) => batch.push(member),
            None => batches.push(vec![member]),
        }
    }
    batches
}

fn told(member: &Member<'_>, reply: BatchStatementResponse, sent: Instant) -> LockResult<Told> {
    let RenewRequest { lock, new_version, .. } = member.request;
    let Some(error) = reply.error else {
        let item = codec::item(reply.item)?;
        let renewed = item.held_by(lock, &[new_version]).is_some_and(|(_, slot)| slot.fence > 0);
        let not_told = Told::Useless("the engine does not return what a statement wrote");
        return Ok(if renewed { Told::Answer(Answer::Done(item, sent)) } else { not_told });
    };
    Ok(match error.code {
        // Without the item there is no lock, or an engine that does not send it: the single request tells.
        Some(BatchStatementErrorCodeEnum::ConditionalCheckFailed) => match error.item {
            Some(item) => Told::Answer(Answer::Refused(codec::item(Some(item))?)),
            None => Told::Nothing,
        },
        Some(BatchStatementErrorCodeEnum::AccessDenied) => Told::Useless("AccessDenied"),
        Some(BatchStatementErrorCodeEnum::ValidationError) => Told::Invalid,
        _ => Told::Nothing,
    })
}

/// It may be sent again.
fn too_late(lock: &LockId) -> LockError {
    let message =
        format!("{lock}: no answer in time to its renewal, which could not be made with the others");
    LockError::timed_out(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lock: LockId) -> RenewRequest {
        RenewRequest {
            mutex_key: lock.key().to_string(),
            lock,
            version: "v".into(),
            new_version: "w".into(),
            lease_ms: 1_000,
            data: None,
        }
    }

    #[test]
    fn batches_are_full_and_hold_each_lock_once() {
        let pool = LockId::semaphore("t", "pool").unwrap();
        let mutex = |number| request(LockId::mutex("t", &format!("m{number}")).unwrap());
        let mut requests: Vec<_> = (0..60).map(mutex).collect();
        requests.extend((0..4).map(|_| request(pool.clone())));
        let members = requests.iter().enumerate().map(|(place, request)| Member { place, request, slot: 0 });
        let batches = packed(members.collect());
        let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [25, 25, 13, 1]);
        for batch in &batches {
            assert_eq!(batch.iter().filter(|member| member.request.lock == pool).count(), 1);
        }
        let mut places: Vec<_> = batches.iter().flatten().map(|member| member.place).collect();
        places.sort_unstable();
        assert_eq!(places, (0..64).collect::<Vec<_>>());
    }
}

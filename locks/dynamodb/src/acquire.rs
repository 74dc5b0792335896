//! Acquiring, waiting, and showing life: R1 to R6.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use db_locks_core::protocol::CLIENT_TTL_MS;
use db_locks_core::{AcquireRequest, Acquired, Busy, LockError, LockId, LockResult, MutexLock};

use crate::codec::Item;
use crate::repository::{Answer, DynamoRepository};
use crate::rules::{self, Step};
use crate::statements::{self, MAX_QUEUE, Plan};

/// Tries that may lose a race before an acquire gives up; each that does means that somebody else got something.
const TRIES: u32 = 32;
/// The longest pause after a lost race, in milliseconds.
const LONGEST_PAUSE_MS: u64 = 20;
/// Between two looks at waiters who may be dead.
const LOOK_AGAIN: Duration = Duration::from_millis(40);

/// How an acquire is getting on.
struct Tries {
    lost: u32,
    entered_now: bool,
    /// Until then an acquire that does not wait may find out whether the waiters before it live.
    patience_ends: Instant,
    /// Then a call has lasted as long as calls may.
    call_ends: Instant,
}

/// The end of an acquire, or the item to decide on next.
type Progress = LockResult<ControlFlow<Acquired, Item>>;

impl DynamoRepository {
    pub(crate) async fn acquire_slot(&self, request: &AcquireRequest) -> LockResult<Acquired> {
        let patience = Duration::from_millis(CLIENT_TTL_MS.unsigned_abs()) + LOOK_AGAIN;
        let begun = Instant::now();
        let (patience_ends, call_ends) = (begun + patience, begun + self.call_limit);
        let mut tries = Tries { lost: 0, entered_now: false, patience_ends, call_ends };
        let mut progress = self.first_look(request).await?;
        loop {
            let item = match progress {
                ControlFlow::Break(acquired) => return Ok(acquired),
                ControlFlow::Continue(item) => item,
            };
            let sight = self.look(&request.lock, &item);
            let step = rules::decide(request, &item, &sight, &self.me, tries.lost, luck());
            progress = self.take(request, item, step, &mut tries).await?;
        }
    }

    /// The one request that an uncontended acquire takes; or, for a waiter, a look at the queue.
    async fn first_look(&self, request: &AcquireRequest) -> Progress {
        let lock = &request.lock;
        let waits_here =
            if request.wait { self.seen.ask_again(lock, &request.version, Instant::now()) } else { None };
        match waits_here {
            // A look that shows life costs no more than one that does not: R6 has a waiter do that by asking.
            Some(true) => {
                let ticket = self.ticket(&request.version);
                let answer =
                    self.update(lock, statements::show_life(&self.me, Some(&ticket), self.stamp())).await?;
                if matches!(answer, Answer::Done(..)) {
                    self.seen.showed_life(lock, Instant::now());
                }
                Ok(ControlFlow::Continue(answer.item()))
            }
            // Cheaper than a write that is refused.
            Some(false) => Ok(ControlFlow::Continue(self.reads.read(lock, || self.read(lock)).await?)),
            // Another slot of the same owner cannot be excluded blindly.
            None if request.reentrant && lock.is_semaphore() => {
                Ok(ControlFlow::Continue(self.read(lock).await?.0))
            }
            None => {
                let hint = if lock.is_semaphore() { self.seen.hint(lock) } else { Default::default() };
                self.grant(request, statements::first_try(request, &hint)).await
            }
        }
    }

    async fn take(&self, request: &AcquireRequest, item: Item, step: Step, tries: &mut Tries) -> Progress {
        let lock = &request.lock;
        match step {
            Step::NotFound => return Err(LockError::not_found(format!("there is no {lock}"))),
            Step::Full => {
                let words = format!("{MAX_QUEUE} wait for the {lock} already, as many as fit on DynamoDB");
                return Err(LockError::in_use(words));
            }
            Step::Busy { busy, place } => return Ok(self.busy(lock, &item, busy, place, tries)),
            Step::LookAgain { busy, .. } if Instant::now() >= tries.patience_ends => {
                return Ok(ControlFlow::Break(Acquired::Busy(busy)));
            }
            Step::LookAgain { after, .. } => {
                tokio::time::sleep(after.min(LOOK_AGAIN)).await;
                return Ok(ControlFlow::Continue(self.read(lock).await?.0));
            }
            _ => {}
        }
        if tries.lost >= TRIES || Instant::now() >= tries.call_ends {
            return Err(self.too_busy(lock));
        }
        pause_after(tries.lost).await;
        tries.lost += 1;
        match step {
            Step::Grant(plan) => self.grant_as_planned(request, &item, &plan).await,
            Step::Extend { slot, version } => self.extend(request, slot, &version).await,
            Step::Adopt { place } => {
                let ticket = self.ticket(&request.version);
                self.enter(request, statements::adopt(&item, place, &ticket, self.stamp()), tries).await
            }
            _ => {
                let ticket = self.ticket(&request.version);
                self.enter(request, statements::enqueue(lock, &ticket, self.stamp()), tries).await
            }
        }
    }

    fn busy(
        &self,
        lock: &LockId,
        item: &Item,
        mut busy: Busy,
        place: Option<usize>,
        tries: &Tries,
    ) -> ControlFlow<Acquired, Item> {
        if let Some(place) = place {
            busy.queue_number = self.seen.number(lock, item, place, tries.entered_now);
        }
        ControlFlow::Break(Acquired::Busy(busy))
    }

    async fn grant_as_planned(&self, request: &AcquireRequest, item: &Item, plan: &Plan) -> Progress {
        if plan.takeover.is_some() {
            tracing::debug!(lock = %request.lock, slot = plan.slot, "taking over from a holder that did not renew");
        }
        self.grant(request, statements::planned_grant(request, item, plan)).await
    }

    async fn grant(&self, request: &AcquireRequest, grant: statements::Update) -> Progress {
        match self.update(&request.lock, grant).await? {
            Answer::Done(item, sent) => self.held(&request.lock, &request.version, &item, sent),
            Answer::Refused(item) => Ok(ControlFlow::Continue(item)),
        }
    }

    async fn extend(&self, request: &AcquireRequest, slot: u32, version: &str) -> Progress {
        match self.update(&request.lock, statements::extend(request, slot, version)).await? {
            Answer::Done(item, sent) => self.held(&request.lock, version, &item, sent),
            Answer::Refused(item) => Ok(ControlFlow::Continue(item)),
        }
    }

    async fn enter(
        &self,
        request: &AcquireRequest,
        entry: statements::Update,
        tries: &mut Tries,
    ) -> Progress {
        // Before it is sent: should the reply get lost, this process still knows that the ticket is its own.
        self.seen.queueing(&request.lock, &request.version, Instant::now());
        let answer = self.update(&request.lock, entry).await?;
        tries.entered_now = matches!(answer, Answer::Done(..));
        Ok(ControlFlow::Continue(answer.item()))
    }

    fn held(&self, lock: &LockId, version: &str, item: &Item, sent: Instant) -> Progress {
        let granted = self.remember(lock, version, item, sent)?;
        Ok(ControlFlow::Break(Acquired::Granted(granted)))
    }

    /// Notes a slot that was granted or renewed just now.
    pub(crate) fn remember(
        &self,
        lock: &LockId,
        version: &str,
        item: &Item,
        sent: Instant,
    ) -> LockResult<MutexLock> {
        let held = item.held_by(lock, &[version]);
        let (number, slot) = held
            .ok_or_else(|| LockError::runtime(format!("DynamoDB's answer lacks the grant of the {lock}")))?;
        self.look(lock, item);
        self.seen.granted(lock, version, number);
        Ok(slot.granted(lock, number, sent))
    }

    /// One sign of life for all of this client's tickets on `lock`; those that nobody asks for any more leave the queue (R5).
    pub(crate) async fn show_life(&self, lock: &LockId) -> LockResult<()> {
        let answer = self.update(lock, statements::show_life(&self.me, None, self.stamp())).await?;
        let Answer::Done(item, _) = answer else { return Ok(()) };
        let now = Instant::now();
        self.seen.showed_life(lock, now);
        self.look(lock, &item);
        let forsaken = self.seen.forsaken(lock, &item, &self.me, now);
        if !forsaken.is_empty() {
            // If the queue has moved meanwhile, the next beat will see to it.
            self.update(lock, statements::leave_queue(&item, &forsaken)).await?;
        }
        Ok(())
    }
}

/// Any number.
fn luck() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1
}

/// The first tries come at once; then rivals are kept apart.
pub(crate) async fn pause_after(lost: u32) {
    if lost >= 3 {
        let most = (1 << lost.min(16)).min(LONGEST_PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(luck() % (most + 1))).await;
    }
}

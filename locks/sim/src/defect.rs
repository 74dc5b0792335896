//! Defects that can be planted, one at a time, to see that the simulation notices them.

macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What is wrong on purpose.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum Defect {
            /// Nothing: all that is found is a real fault.
            #[default]
            Nothing,
            $($(#[$doc])* $name),+
        }

        impl Defect {
            /// Every defect that can be planted.
            pub const PLANTED: &[Self] = &[$(Self::$name),+];
        }
    };
}

defects! {
    /// A release frees the slot whatever version it names.
    ReleaseWithoutVersionTest,
    /// A renewal succeeds whatever version it names.
    RenewalWithoutVersionTest,
    /// Giving up a wait frees the lock, whoever holds it.
    AbandonWithoutVersionTest,
    /// Giving up a wait does nothing.
    AbandonDoesNothing,
    /// A deleted lock's tokens begin anew.
    TokenResetAtDeletion,
    /// Tokens are the clock in seconds, so that quick grants share one.
    TokensRepeat,
    /// Nobody waits for his turn.
    QueueIgnored,
    /// Who comes anew does not look at the queue.
    NewcomerPassesWaiter,
    /// The queue is served from its end.
    LastComeFirstServed,
    /// The asker's clock decides whether a lease is over.
    ExpiryByClientClock,
    /// An acquire that is sent again is taken for another one.
    RetriedAcquireIsNew,
    /// A renewal that is sent again is refused.
    RetriedRenewalRefused,
    /// A release that is sent again is refused.
    RetriedReleaseRefused,
    /// Waiters of a dead process keep their place.
    DeadWaitersBlock,
    /// A beat is no sign of life.
    BeatsForgotten,
    /// Who was granted the lock still stands in the queue.
    GrantKeepsTicket,
    /// A waiter that asks again goes to the end of the queue.
    AskingAgainLosesPlace,
    /// A restarted server has forgotten the leases.
    RestartForgetsLeases,
    /// A restarted server has forgotten its tokens.
    RestartForgetsTokens,
    /// One reply in ten is sent though its write is lost.
    ReplyBeforeCommit,
    /// Leases are rounded down to whole seconds (but last one at least).
    LeasesAreWholeSeconds,
    /// A lease that is over can be renewed though somebody waits or took it.
    ExpiredLeaseRenewed,
    /// A lease never ends by itself.
    LeasesNeverEnd,
    /// A semaphore has a slot more than was asked for.
    SemaphoreHasOneMore,
    /// The register takes writes with any token.
    RegisterTakesAnyToken,
    /// The client counts its lease from the answer, not from the question.
    LeaseCountedFromAnswer,
    /// Keeping the places of waiters keeps none.
    KeepingPlacesDoesNothing,
    /// Keeping the places of some waiters keeps those of all of their process.
    ForsakenPlacesAreKept,
    /// A semaphore shrinks though slots are held that it loses.
    ShrinkingIgnoresHolders,
    /// A semaphore whose size changes forgets who holds its slots.
    ResizingForgetsHolders,
    /// A new size is confirmed, and nothing changes.
    ResizingDoesNothing,
    /// A reentrant acquire is handed what somebody else holds.
    ReentrantGetsOthers,
    /// A reentrant acquire gets a new token for what it holds.
    ReentrantGetsNewToken,
    /// A reentrant acquire is not recognised.
    ReentrantIsRefused,
    /// Without a clock in the store: who has watched a holder for half of its lease takes it for dead.
    WatchesHalfALease,
    /// Without a clock in the store: a renewal is not seen by those who watch.
    RenewalsAreNotSeen,
    /// Without a clock in the store: a holder that was watched is taken over even if it has renewed meanwhile.
    TakeoverWithoutLooking,
    /// A batch grants what others wait for.
    BatchPassesQueue,
    /// In a batch an acquire that is sent again is taken for another one.
    BatchedRetryIsNew,
    /// In a batch a release that is sent again is refused.
    BatchedReleaseRetryRefused,
    /// The answers of a batch go to each other's callers.
    BatchAnswersMixedUp,
    /// A batch whose answer was lost is sent again under new versions.
    BatchSentAgainAsNew,
    /// What was granted in a batch to callers who had gone away is kept.
    OrphansAreKept,
    /// One operation that cannot be done fails all of its batch.
    OneFailsItsBatch,
    /// One operation that cannot be done undoes all of its batch, and the others are not told.
    OneUndoesItsBatch,
}

impl std::str::FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::PLANTED.iter().find(|defect| format!("{defect:?}") == name);
        found.copied().ok_or_else(|| format!("no defect is named {name:?}; there are {:?}", Self::PLANTED))
    }
}

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
}

impl std::str::FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::PLANTED.iter().find(|defect| format!("{defect:?}") == name);
        found.copied().ok_or_else(|| format!("no defect is named {name:?}; there are {:?}", Self::PLANTED))
    }
}

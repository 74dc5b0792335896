//! What is to become of a request, by the mode and by what it says itself.

use http::HeaderMap;

use crate::headers;
use crate::options::Mode;

/// What is to become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// It is played back if there is a scenario for it.
    pub plays: bool,
    /// It is not forwarded if there is none.
    pub only_plays: bool,
    /// What is forwarded is recorded.
    pub records: bool,
}

impl Wanted {
    /// Nothing but to be passed on.
    pub(crate) const PASSED_ON: Wanted = Wanted { plays: false, only_plays: false, records: false };

    /// For a request to the proxy.
    #[must_use]
    pub fn of(mode: Mode, head: &HeaderMap) -> Wanted {
        let said = headers::first(head, &headers::RECORD).map(|said| said.trim().to_ascii_lowercase());
        let is_forced = said.as_deref() == Some("true");
        let is_forbidden = said.as_deref() == Some("false");
        Wanted {
            plays: mode.plays() && !is_forced,
            only_plays: mode == Mode::Playback && !is_forced,
            records: (mode.records() || is_forced) && !is_forbidden,
        }
    }

    /// For a call that somebody asks for over the admin API: where it may be recorded, it is made.
    #[must_use]
    pub fn of_call(mode: Mode, head: &HeaderMap) -> Wanted {
        let wanted = Wanted::of(mode, head);
        Wanted { plays: wanted.plays && !mode.records(), ..wanted }
    }
}

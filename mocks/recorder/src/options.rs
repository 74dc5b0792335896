//! How recording works.

use std::str::FromStr;
use std::time::Duration;

use regex::{Regex, RegexBuilder};

use crate::guard::AddressGuard;
use crate::record::Redaction;
use crate::upstream::UpstreamOptions;

/// What happens to a request that comes to the proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Always forwarded, always recorded.
    Record,
    /// Only played back; what no scenario matches is answered as on the main port.
    Playback,
    /// Played back where a scenario matches, else forwarded and recorded.
    #[default]
    RecordMissing,
    /// Only forwarded.
    Passthrough,
    /// Played back where a scenario matches, else forwarded; nothing is recorded.
    Spy,
}

impl FromStr for Mode {
    type Err = UnknownMode;

    /// `record`, `playback`, `record-missing`, `passthrough` or `spy`.
    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Ok(match text {
            "record" => Mode::Record,
            "playback" => Mode::Playback,
            "record-missing" | "" => Mode::RecordMissing,
            "passthrough" => Mode::Passthrough,
            "spy" => Mode::Spy,
            _ => return Err(UnknownMode),
        })
    }
}

/// No mode is called so.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a mode is one of record, playback, record-missing, passthrough and spy")]
pub struct UnknownMode;

impl Mode {
    pub(crate) fn plays(self) -> bool {
        matches!(self, Mode::Playback | Mode::RecordMissing | Mode::Spy)
    }

    pub(crate) fn records(self) -> bool {
        matches!(self, Mode::Record | Mode::RecordMissing)
    }
}

/// How a request body tells recordings apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyMatch {
    /// JSON by its shape, other short text as it is.
    #[default]
    Shape,
    /// All short text as it is.
    Exact,
}

/// What goes into the file of a recording.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Names of query parameters that a playback must have with the same value. All by default.
    pub match_query: Names,
    /// Names of headers that a playback must have with the same value, besides the content type. By default those
    /// with `Target` in them, by which several services choose what to do.
    pub match_headers: Names,
    /// How the body of a request is matched.
    pub match_body: BodyMatch,
    /// What is a secret.
    pub redaction: Redaction,
    /// Answers larger than this become fixture files. Default: 256 KiB.
    pub fixture_bytes: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions {
            match_query: Names::containing(""),
            match_headers: Names::containing("target"),
            match_body: BodyMatch::default(),
            redaction: Redaction::default(),
            fixture_bytes: 256 << 10,
        }
    }
}

/// Some names of headers or parameters, whatever their capitals.
#[derive(Clone, Debug)]
pub struct Names {
    word: &'static str,
    regex: Option<Regex>,
}

impl Names {
    /// Those with this word, in small letters, in them; all for the empty one.
    #[must_use]
    pub const fn containing(word: &'static str) -> Names {
        Names { word, regex: None }
    }

    /// Whether every name is one of them.
    #[must_use]
    pub fn includes_all(&self) -> bool {
        match &self.regex {
            Some(regex) => ["", ".", ".*", "^"].contains(&regex.as_str()),
            None => self.word.is_empty(),
        }
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn include(&self, name: &str) -> bool {
        match &self.regex {
            Some(regex) => regex.is_match(name),
            None => name.to_ascii_lowercase().contains(self.word),
        }
    }
}

impl FromStr for Names {
    type Err = regex::Error;

    /// An expression that is searched for.
    fn from_str(pattern: &str) -> Result<Self, regex::Error> {
        let regex = RegexBuilder::new(pattern).case_insensitive(true).size_limit(1 << 20).build()?;
        Ok(Names { word: "", regex: Some(regex) })
    }
}

/// How recording works.
#[derive(Clone, Debug)]
pub struct RecorderOptions {
    /// What goes into the files.
    pub files: FileOptions,
    /// Bodies larger than this are forwarded, but not recorded; nor are those larger than the fixtures that the store takes.
    /// Default: 128 MiB.
    pub max_body_bytes: usize,
    /// What all bodies that are matched, and all recordings that are not yet written, may occupy; beyond it, exchanges are forwarded only. Default: 512 MiB.
    pub max_memory_bytes: usize,
    /// Request bodies up to this are held back until they are whole where a scenario has their method and path, as
    /// matching needs them. All others are forwarded as they come. Default: 128 MiB.
    pub max_matched_bytes: usize,
    /// How services are reached.
    pub upstream: UpstreamOptions,
    /// Which addresses `/_proxy` may be sent to.
    pub guard: AddressGuard,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        RecorderOptions {
            files: FileOptions::default(),
            max_body_bytes: 128 << 20,
            max_memory_bytes: 512 << 20,
            max_matched_bytes: 128 << 20,
            upstream: UpstreamOptions::default(),
            guard: AddressGuard::public_only(),
        }
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyTimeouts {
    /// A client that sends no request head for this long is cut off. Default: 60 s.
    pub idle: Duration,
    /// The body of a request that is matched must have come by then. Default: 30 s.
    pub body: Duration,
    /// A body or a tunnel without a byte for this long is ended. Default: 5 min.
    pub stream: Duration,
    /// What is still running this long after the shutdown began is cut off. Default: 10 s.
    pub shutdown: Duration,
}

impl Default for ProxyTimeouts {
    fn default() -> Self {
        ProxyTimeouts {
            idle: Duration::from_secs(60),
            body: Duration::from_secs(30),
            stream: Duration::from_secs(300),
            shutdown: Duration::from_secs(10),
        }
    }
}

//! A buffer that stops growing at a limit.

/// Collects output; what would exceed the limit is dropped and remembered.
#[derive(Debug)]
pub(crate) struct Sink {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Sink {
    pub(crate) fn new(limit: usize) -> Self {
        Sink { bytes: Vec::new(), limit, full: false }
    }

    /// Goes on in a buffer that may hold something already; the limit counts from there.
    pub(crate) fn append_to(bytes: Vec<u8>, limit: usize) -> Self {
        let limit = bytes.len().saturating_add(limit);
        Sink { bytes, limit, full: false }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if bytes.len() > self.limit - self.bytes.len() {
            self.full = true;
        }
        if !self.full {
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(crate) fn push_char(&mut self, character: char) {
        self.push(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    pub(crate) fn push_repeated(&mut self, byte: u8, count: usize) {
        if count > self.limit - self.bytes.len() {
            self.full = true;
        }
        if !self.full {
            self.bytes.resize(self.bytes.len() + count, byte);
        }
    }

    /// Whether something had to be dropped.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

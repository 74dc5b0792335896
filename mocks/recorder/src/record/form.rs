//! Forms of parts, `multipart/form-data`. The boundary between the parts is another one each time; in a file it is always
//! the same.

use std::borrow::Cow;

use api_mock_matcher::{FormPart, form_boundary, form_parts, form_rule};
use http::HeaderName;
use http::header::CONTENT_TYPE;
use sha2::{Digest, Sha256};

use super::scenario::{hex, one_body};
use super::{Redaction, pattern_of};
use crate::options::{BodyMatch, FileOptions};

/// A form that was sent.
pub(super) struct Form<'b> {
    body: &'b [u8],
    boundary: String,
    parts: Vec<FormPart>,
    /// What a body must be like to be this one.
    pub(super) rule: String,
    /// Stands for the boundary in the file.
    stable: String,
}

impl<'b> Form<'b> {
    pub(super) fn of(content_type: &str, body: &'b [u8], options: &FileOptions) -> Option<Form<'b>> {
        let (boundary, parts) = (form_boundary(content_type)?, form_parts(content_type, body)?);
        let bytes = |part: &FormPart| body.get(part.at.clone()).unwrap_or_default();
        let rule =
            form_rule(parts.iter().map(|part| (part.name.as_str(), contents(part, bytes(part), options))));
        let digest = Sha256::digest(rule.as_bytes());
        let stable = format!("recorded-{}", hex(digest.get(..8).unwrap_or_default()));
        Some(Form { body, boundary, parts, rule, stable })
    }

    /// The body as it may be kept; `None` if it is no text.
    pub(super) fn example(&self, redaction: &Redaction) -> Option<String> {
        let (from, to) = (format!("--{}", self.boundary), format!("--{}", self.stable));
        let between = |at: std::ops::Range<usize>| {
            let text = std::str::from_utf8(self.body.get(at)?).ok()?;
            Some(text.replace(&from, &to))
        };
        let (mut example, mut copied) = (String::with_capacity(self.body.len()), 0);
        for part in &self.parts {
            example.push_str(&between(copied..part.at.start)?);
            let bytes = self.body.get(part.at.clone())?;
            example
                .push_str(std::str::from_utf8(&redaction.part(&part.name, &part.content_type, bytes)).ok()?);
            copied = part.at.end;
        }
        example.push_str(&between(copied..self.body.len())?);
        Some(example)
    }

    /// A header of the request as it may be kept.
    pub(super) fn header(&self, name: &HeaderName, value: String) -> String {
        if *name == CONTENT_TYPE { value.replace(&self.boundary, &self.stable) } else { value }
    }
}

/// What the bytes of a part must be like; `None` if they may be any.
fn contents(part: &FormPart, bytes: &[u8], options: &FileOptions) -> Option<String> {
    let kept = options.redaction.part(&part.name, &part.content_type, bytes);
    match pattern_of(bytes) {
        // As a whole, a secret in it would be in the file.
        Some(pattern) if options.match_body == BodyMatch::Shape || matches!(kept, Cow::Owned(_)) => {
            Some(pattern)
        }
        _ if matches!(kept, Cow::Owned(_)) => None,
        _ => Some(one_body(bytes)),
    }
}

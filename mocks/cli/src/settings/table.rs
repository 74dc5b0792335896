//! All settings.

use super::value::Kind;
use super::{Origin, SettingsError};

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// As in the configuration file.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) about: &'static str,
}

const fn setting(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Setting {
    Setting { name, kind, default, about }
}

/// In the order in which they are listed.
pub(crate) const SETTINGS: &[Setting] = &[
    setting("http_port", Kind::Port, "8080", "port for playback and the admin API; 0 takes a free one"),
    setting("proxy_port", Kind::Port, "8081", "port of the recording proxy"),
    setting("record_mode", Kind::Mode, "record-missing", "what the proxy does with a request"),
    setting(
        "upstream",
        Kind::Upstream,
        "",
        "address of the real service that answers what no scenario does: http://HOST:PORT",
    ),
    setting("data_dir", Kind::Text, "default_mocks_data", "folder of scenarios and fixtures"),
    setting("asset_dir", Kind::Text, "", "folder of the files that /_assets/ serves"),
    setting("host", Kind::Host, "127.0.0.1", "address to listen on; 0.0.0.0 lets other machines in"),
    setting("seed", Kind::Seed, "", "makes random data the same in each run"),
    setting("tls", Kind::Switch, "false", "speak TLS"),
    setting("tls_cert", Kind::Text, "", "PEM file with the certificate chain"),
    setting("tls_key", Kind::Text, "", "PEM file with its key"),
    setting("admin_token", Kind::Secret, "", "token that the admin API wants"),
    setting("admin_token_file", Kind::Text, "", "file with that token"),
    setting("admin_origins", Kind::Text, "", "origins whose web pages may use the admin API, with commas"),
    setting(
        "validate_requests",
        Kind::Switch,
        "false",
        "refuse requests that a specification does not allow",
    ),
    setting("credentials", Kind::Secret, "", "credentials that are then good, with commas; none for all"),
    setting("match_query_regex", Kind::Names, ".", "query parameters that tell recordings apart"),
    setting("match_header_regex", Kind::Names, "Target", "headers that tell recordings apart"),
    setting("match_body", Kind::BodyMatch, "shape", "how request bodies tell recordings apart"),
    setting("redact", Kind::Switch, "true", "keep the usual secrets out of recordings"),
    setting("redact_headers", Kind::Text, "", "further headers that are secrets, with commas"),
    setting("redact_fields", Kind::Text, "", "further fields and parameters that are secrets, with commas"),
    setting(
        "proxy_allow",
        Kind::Text,
        "",
        "hosts and networks that /_proxy may reach though they are private",
    ),
    setting("leave_alone", Kind::Text, "", "hosts whose connections are passed on untouched, with commas"),
    setting("ca_dir", Kind::Text, "", "folder of the certificate authority (default: .ca in data_dir)"),
    setting("insecure_upstream", Kind::Switch, "false", "do not verify the certificates of services"),
    setting("upstream_roots", Kind::Text, "", "PEM file with authorities that services may have, too"),
    setting("upstream_cert", Kind::Text, "", "PEM file with the certificate that services are shown"),
    setting("upstream_key", Kind::Text, "", "PEM file with its key"),
    setting(
        "proxy_url",
        Kind::ProxyUrl,
        "",
        "proxy behind which services are: http://[USER:PASSWORD@]HOST:PORT",
    ),
    setting("connection_timeout", Kind::Duration, "10s", "a connection to a service must stand by then"),
    setting("answer_timeout", Kind::Duration, "60s", "a service must have begun to answer by then"),
    setting("max_record_bytes", Kind::Size, "128M", "larger bodies are forwarded, but not recorded"),
    setting("fixture_bytes", Kind::Size, "256K", "larger recorded bodies become fixture files"),
    setting("chaos_private", Kind::Switch, "false", "let /_chaos try services in private networks"),
    setting("max_connections", Kind::Number, "10000", "connections at a time; further ones wait"),
    setting("max_header_bytes", Kind::Size, "64K", "request line and headers"),
    setting("max_headers", Kind::Number, "100", "headers of a request"),
    setting("max_body_bytes", Kind::Size, "10M", "body of a request that is played back to"),
    setting("max_upload_bytes", Kind::Size, "32M", "an uploaded scenario or fixture"),
    setting("idle_timeout", Kind::Duration, "30s", "connections without a request for this long are closed"),
    setting("body_timeout", Kind::Duration, "30s", "the body of a request must have come by then"),
    setting("max_wait", Kind::Duration, "5m", "longest wait before an answer; longer ones are cut"),
    setting("shutdown_timeout", Kind::Duration, "10s", "what runs longer is cut off at the end"),
    setting("max_list_items", Kind::Number, "100000", "longest list that a template function makes"),
    setting("max_pattern_repeats", Kind::Number, "32", "repeats that RandRegex makes of `*` and `+`"),
    setting("max_pattern_bytes", Kind::Size, "64K", "longest text that RandRegex makes"),
    setting("max_text_bytes", Kind::Size, "1M", "longest text that another template function makes"),
    setting(
        "max_template_depth",
        Kind::Number,
        "1000",
        "templates that call each other, one inside of the other",
    ),
    setting("max_template_steps", Kind::Number, "10000000", "work of one rendering"),
    setting("max_answer_bytes", Kind::Size, "32M", "what one rendering writes"),
];

impl Setting {
    /// Its environment variable. `HOST` means something else in many shells, so that one has a longer name.
    pub(crate) fn variable(&self) -> String {
        match self.name {
            "host" => "HTTP_HOST".to_owned(),
            name => name.to_ascii_uppercase(),
        }
    }

    /// Whether it is meant by a name in snake_case, kebab-case or camelCase.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
        plain(self.name) == plain(name)
    }

    pub(crate) fn check(&self, value: &str, origin: &Origin) -> Result<(), SettingsError> {
        if self.kind.accepts(value) {
            return Ok(());
        }
        Err(SettingsError::Value {
            origin: origin.clone(),
            name: self.name,
            expected: self.kind.expected(),
            value: self.shown(value).to_owned(),
        })
    }

    /// Whether a value must not be shown.
    pub(crate) fn is_hidden(&self, value: &str) -> bool {
        match self.kind {
            Kind::Secret => !value.is_empty(),
            // It may hold a password.
            Kind::ProxyUrl => value.contains('@'),
            _ => false,
        }
    }

    /// A value as it may be shown.
    pub(crate) fn shown<'v>(&self, value: &'v str) -> &'v str {
        if self.is_hidden(value) { "(hidden)" } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_values() {
        for setting in SETTINGS {
            assert!(setting.check(setting.default, &Origin::Default).is_ok(), "{}", setting.name);
        }
    }

    #[test]
    fn names_are_known_in_all_spellings() {
        let setting = &SETTINGS[0];
        assert!(["http_port", "http-port", "httpPort"].iter().all(|name| setting.is_called(name)));
        assert_eq!(setting.variable(), "HTTP_PORT");
    }
}

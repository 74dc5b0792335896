//! What a run is told, from four places: flag before environment before file before default.

mod file;
mod table;
mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

pub(crate) use file::ConfigFile;
pub(crate) use table::SETTINGS;
pub(crate) use value::{Kind, body_match, proxy, seed, upstream};

use crate::args::Flags;

/// What is wrong with the settings. No message shows a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{origin}: {name} must be {expected}, not `{value}`")]
    Value { origin: Origin, name: &'static str, expected: &'static str, value: String },
    #[error("--set {0}: write NAME=VALUE; `api-mock-service settings` lists the names")]
    Set(String),
    #[error("httpPort and proxyPort are both {0}: they must differ")]
    EqualPorts(u16),
    #[error("--tls-cert and --tls-key belong together")]
    HalfCertificate,
    #[error("upstream_cert and upstream_key belong together")]
    HalfUpstreamCertificate,
    #[error("cannot read {path}", path = path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {message}", path = path.display())]
    File { path: PathBuf, message: String },
    #[error("the admin token is empty; leave it out to have none")]
    EmptyToken,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    Environment(String),
    File(PathBuf),
    Default,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Flag => f.write_str("command line"),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::File(path) => path.display().fmt(f),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// All settings, each with its origin. Every value was checked.
#[derive(Debug)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, (String, Origin)>,
    /// Lines of the file that nothing knows.
    pub(crate) unknown: Vec<String>,
}

impl Settings {
    /// Collects them. `variable` gives an environment variable; an empty one counts as absent.
    pub(crate) fn collect(
        flags: &Flags,
        variable: &dyn Fn(&str) -> Option<String>,
        file: &ConfigFile,
    ) -> Result<Self, SettingsError> {
        let given = flags.given()?;
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let env = setting.variable();
            let from_flag = given.get(setting.name).map(|value| (value.clone(), Origin::Flag));
            let from_env = || {
                Some((variable(&env).filter(|value| !value.is_empty())?, Origin::Environment(env.clone())))
            };
            let from_file = || Some((file.value(setting.name)?.to_owned(), Origin::File(file.path.clone())));
            let (value, origin) = from_flag
                .or_else(from_env)
                .or_else(from_file)
                .unwrap_or_else(|| (setting.default.to_owned(), Origin::Default));
            setting.check(&value, &origin)?;
            values.insert(setting.name, (value, origin));
        }
        let settings = Settings { values, unknown: file.unknown() };
        settings.check()
    }

    fn check(self) -> Result<Self, SettingsError> {
        let (http, proxy) = (self.http_port(), self.proxy_port());
        if http == proxy && http != 0 {
            return Err(SettingsError::EqualPorts(http));
        }
        if self.text("upstream_cert").is_empty() != self.text("upstream_key").is_empty() {
            return Err(SettingsError::HalfUpstreamCertificate);
        }
        if self.text("tls_cert").is_empty() != self.text("tls_key").is_empty() {
            return Err(SettingsError::HalfCertificate);
        }
        Ok(self)
    }

    /// A value and where it comes from.
    pub(crate) fn with_origin(&self, name: &str) -> (&str, &Origin) {
        self.values.get(name).map_or(("", &Origin::Default), |(value, origin)| (value.as_str(), origin))
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.with_origin(name).0
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        value::number(self.text(name)).unwrap_or_default()
    }

    pub(crate) fn size(&self, name: &str) -> usize {
        usize::try_from(value::size(self.text(name)).unwrap_or_default()).unwrap_or(usize::MAX)
    }

    pub(crate) fn duration(&self, name: &str) -> std::time::Duration {
        value::duration(self.text(name)).unwrap_or_default()
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
        value::switch(self.text(name)).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> Option<&Path> {
        Some(self.text(name)).filter(|text| !text.is_empty()).map(Path::new)
    }

    pub(crate) fn http_port(&self) -> u16 {
        u16::try_from(self.number("http_port")).unwrap_or_default()
    }

    pub(crate) fn proxy_port(&self) -> u16 {
        u16::try_from(self.number("proxy_port")).unwrap_or_default()
    }

    pub(crate) fn seed(&self) -> Option<u64> {
        value::seed(self.text("seed"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let host = value::host(self.text("host")).unwrap_or(IpAddr::from([127, 0, 0, 1]));
        SocketAddr::new(host, self.http_port())
    }

    /// The admin token. Blocks while it reads the file.
    pub(crate) fn admin_token(&self) -> Result<Option<String>, SettingsError> {
        let said = self.text("admin_token");
        if !said.is_empty() {
            return Ok(Some(said.to_owned()));
        }
        let Some(path) = self.path("admin_token_file") else { return Ok(None) };
        let read = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        match read.trim() {
            "" => Err(SettingsError::EmptyToken),
            token => Ok(Some(token.to_owned())),
        }
    }
}

impl Flags {
    /// The flags that were given, by the names of their settings.
    fn given(&self) -> Result<BTreeMap<&'static str, String>, SettingsError> {
        let mut given = BTreeMap::new();
        for line in &self.set {
            let wrong = || SettingsError::Set(line.clone());
            let (name, value) = line.split_once('=').ok_or_else(wrong)?;
            let setting = SETTINGS.iter().find(|setting| setting.is_called(name)).ok_or_else(wrong)?;
            given.insert(setting.name, value.to_owned());
        }
        let named = [
            ("http_port", &self.http_port),
            ("proxy_port", &self.proxy_port),
            ("record_mode", &self.record_mode),
            ("upstream", &self.upstream),
            ("data_dir", &self.data_dir),
            ("asset_dir", &self.asset_dir),
            ("host", &self.host),
            ("seed", &self.seed),
            ("tls_cert", &self.tls_cert),
            ("tls_key", &self.tls_key),
            ("admin_token", &self.admin_token),
            ("admin_token_file", &self.admin_token_file),
        ];
        given.extend(named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        given.extend(self.insecure_upstream.then(|| ("insecure_upstream", "true".to_owned())));
        given.extend(self.validate_requests.then(|| ("validate_requests", "true".to_owned())));
        given.extend(self.tls.then(|| ("tls", "true".to_owned())));
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(flags: &Flags, env: &[(&str, &str)], yaml: &str) -> Result<Settings, SettingsError> {
        let file = ConfigFile::parse(Path::new("f.yaml"), yaml)?;
        let variable =
            |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::collect(flags, &variable, &file)
    }

    fn port(value: &str) -> Flags {
        Flags { http_port: Some(value.to_owned()), ..Flags::default() }
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let env = [("HTTP_PORT", "2")];
        let file = "http_port: 3\n";
        assert_eq!(collect(&port("1"), &env, file).unwrap().http_port(), 1);
        assert_eq!(collect(&Flags::default(), &env, file).unwrap().http_port(), 2);
        assert_eq!(collect(&Flags::default(), &[], file).unwrap().http_port(), 3);
        assert_eq!(collect(&Flags::default(), &[], "").unwrap().http_port(), 8080);
        assert_eq!(collect(&Flags::default(), &[("HTTP_PORT", "")], "").unwrap().http_port(), 8080);
    }

    #[test]
    fn equal_ports_are_refused_except_free_ones() {
        assert!(matches!(collect(&port("8081"), &[], ""), Err(SettingsError::EqualPorts(8081))));
        assert!(collect(&port("0"), &[("PROXY_PORT", "0")], "").is_ok());
    }

    #[test]
    fn a_wrong_value_is_told_with_its_origin() {
        let error = collect(&Flags::default(), &[("HTTP_PORT", "http")], "").unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable HTTP_PORT: http_port must be a port, 0 to 65535, not `http`"
        );
        let error = collect(&Flags::default(), &[], "idle_timeout: 3").unwrap_err();
        assert_eq!(
            error.to_string(),
            "f.yaml: idle_timeout must be a duration such as 30s or 1m30s, not `3`"
        );
        assert!(matches!(collect(&port("70000"), &[], ""), Err(SettingsError::Value { .. })));
    }

    #[test]
    fn secrets_are_not_in_messages() {
        let set = |line: &str| Flags { set: vec![line.to_owned()], ..Flags::default() };
        let settings = collect(&set("admin_token=abc"), &[], "").unwrap();
        assert_eq!(settings.admin_token().unwrap().as_deref(), Some("abc"));
        assert!(matches!(collect(&set("nothing=1"), &[], ""), Err(SettingsError::Set(_))));
    }

    #[test]
    fn lines_that_nothing_knows_are_told_and_do_not_stop() {
        let settings =
            collect(&Flags::default(), &[], "http_port: 9\nhttp_prot: 1\nuser_agent: x\n").unwrap();
        assert_eq!(settings.unknown, ["http_prot"]);
    }

    #[test]
    fn one_file_of_the_certificate_is_not_enough() {
        let flags = Flags { tls_cert: Some("c.pem".to_owned()), ..Flags::default() };
        assert!(matches!(collect(&flags, &[], ""), Err(SettingsError::HalfCertificate)));
    }
}

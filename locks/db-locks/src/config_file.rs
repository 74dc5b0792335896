//! [`LocksConfig`] from a YAML file.

use std::path::Path;

use db_locks_core::{LockError, LockResult, LocksConfig};

/// Reads a YAML file whose keys are the fields of [`LocksConfig`].
///
/// ```
/// let file = tempfile::NamedTempFile::new().unwrap();
/// std::fs::write(&file, "tenant_id: billing\ndatabase_pool_size: 4\n").unwrap();
/// let config = db_locks::config_file::load(file.path()).unwrap();
/// assert_eq!((config.tenant_id.as_str(), config.database_pool_size()), ("billing", 4));
/// ```
///
/// # Errors
/// `Runtime` when the file cannot be read, `Serialization` with line and column when it is not such a file,
/// `Validation` when a value is out of range.
pub fn load(path: &Path) -> LockResult<LocksConfig> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        LockError::runtime_from(format!("cannot read the configuration file {}", path.display()), e)
    })?;
    parse(&text).map_err(|e| match e {
        LockError::Serialization { source, .. } => LockError::Serialization {
            message: format!("{} is not a configuration file of db-locks", path.display()),
            source,
        },
        other => other,
    })
}

/// Parses the text of such a file. An empty one is the default configuration.
///
/// # Errors
/// `Serialization` with line and column; `Validation`.
pub fn parse(yaml: &str) -> LockResult<LocksConfig> {
    // A file of comments only is an empty document, which is no mapping.
    let only_comments = yaml.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    let config: LocksConfig =
        serde_saphyr::from_str(if only_comments { "{}" } else { yaml }).map_err(|e| {
            LockError::serialization("not a configuration of db-locks", first_line(&e.to_string()))
        })?;
    config.validate()?;
    Ok(config)
}

/// The parser shows the lines around an error; they could hold a password, so only its own words are kept.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_wrong_fields_are_told_with_their_place() {
        for (yaml, word) in [("tenant: x\n", "tenant"), ("database_pool_size: many\n", "line 1")] {
            let error = parse(yaml).unwrap_err();
            assert!(error.chain().contains(word), "{}", error.chain());
        }
    }

    #[test]
    fn a_secret_in_a_broken_file_is_not_repeated() {
        let error = parse("database_url: postgres://u:s3cret@h/d\nnope: [\n").unwrap_err();
        assert!(!error.chain().contains("s3cret"), "{}", error.chain());
    }

    #[test]
    fn empty_files_are_defaults() {
        assert_eq!(parse("# nothing\n").unwrap().tenant_id, "local-host-name");
    }

    #[test]
    fn every_field_of_the_specification_is_taken() {
        let yaml = "tenant_id: t\nheartbeat_period_ms: 1\nmutexes_table_name: m\nsemaphores_table_name: s\n\
                    fair_semaphore: true\ncache_enabled: true\nmax_semaphore_size: 5\ndatabase_url: 'sqlite::memory:'\n\
                    redis_url: redis://h\ndatabase_pool_size: 2\nrun_database_migrations: false\naws_region: eu-west-1\n\
                    ddb_read_consistency: false\nserver_error_retries_limit: 1\nwait_before_server_error_retries_ms: 2\n";
        let config = parse(yaml).unwrap();
        assert_eq!((config.max_semaphore_size(), config.fair_semaphore()), (5, true));
        assert_eq!((config.mutexes_table_name(), config.run_database_migrations()), ("m", false));
    }
}

//! `sslmode` against a private server whose certificate is signed by an authority that nobody knows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use db_locks_core::{ErrorKind, LockRepository, LockResult, LocksConfig};
use db_locks_postgres::PostgresRepository;

struct TlsServer {
    folder: tempfile::TempDir,
    url: String,
    ca: String,
}

fn xtask(arguments: &[&str], folder: &Path) -> std::process::Output {
    let program =
        std::env::var_os("DB_LOCKS_XTASK").expect("DB_LOCKS_XTASK is not set: run `cargo xtask test`");
    Command::new(program).args(arguments).arg("--dir").arg(folder).output().unwrap()
}

impl TlsServer {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("db-locks-tls-").tempdir().unwrap();
        let output = xtask(&["server", "start", "postgres", "--tls"], folder.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_string();
        Self { url: text("url"), ca: text("ca"), folder }
    }

    async fn connect(&self, host: &str, parameters: &str) -> LockResult<bool> {
        let mut config = LocksConfig::new("t");
        let url = self.url.replace("127.0.0.1", host);
        config.database_url = Some(format!("{url}?{parameters}").replace("CA", &self.ca));
        let store = PostgresRepository::connect(&config).await?;
        store.ping().await?;
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let encrypted = "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
            WHERE application_name = 'db-locks' ORDER BY backend_start DESC LIMIT 1";
        let encrypted = client.query_one(encrypted, &[]).await.unwrap().get(0);
        drop(store);
        Ok(encrypted)
    }

    async fn refused(&self, host: &str, parameters: &str) {
        let error = self.connect(host, parameters).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{parameters}: {}", error.chain());
        assert!(error.to_string().contains("certificate is not trusted"), "{error}");
        assert!(!error.retryable());
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = xtask(&["server", "kill"], self.folder.path());
    }
}

#[tokio::test]
async fn sslmode_encrypts_and_verifies_as_asked() {
    let server = TlsServer::start();
    for (host, parameters, encrypted) in [
        ("127.0.0.1", "", true),
        ("127.0.0.1", "sslmode=disable", false),
        ("127.0.0.1", "sslmode=prefer", true),
        ("127.0.0.1", "sslmode=require", true),
        ("127.0.0.1", "sslmode=require&sslrootcert=CA", true),
        ("127.0.0.1", "sslmode=verify-ca&sslrootcert=CA", true),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=CA", true),
        ("localhost", "sslmode=verify-full&sslrootcert=CA", true),
        // A name that the certificate does not hold.
        ("127.0.0.2", "sslmode=verify-ca&sslrootcert=CA&hostaddr=127.0.0.1", true),
    ] {
        let answer = server.connect(host, parameters).await;
        assert_eq!(
            answer.unwrap_or_else(|error| panic!("{parameters}: {}", error.chain())),
            encrypted,
            "{parameters}"
        );
    }
    // The roots of the web do not know this authority.
    server.refused("127.0.0.1", "sslmode=verify-ca").await;
    server.refused("127.0.0.1", "sslmode=verify-full").await;
    server.refused("127.0.0.2", "sslmode=verify-full&sslrootcert=CA&hostaddr=127.0.0.1").await;

    let error =
        server.connect("127.0.0.1", "sslmode=verify-full&sslrootcert=/no/such/file").await.unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}

/// A server without TLS: `prefer` does without it, `require` does not.
#[tokio::test]
async fn require_does_not_fall_back() {
    let url = std::env::var("DB_LOCKS_TEST_POSTGRES_URL")
        .expect("DB_LOCKS_TEST_POSTGRES_URL is not set: run `cargo xtask test`");
    let connect = async |mode: &str| {
        let mut config = LocksConfig::new("t");
        config.database_url = Some(format!("{url}?sslmode={mode}"));
        PostgresRepository::connect(&config).await.map(drop)
    };
    connect("prefer").await.unwrap();
    let error = connect("require").await.unwrap_err();
    assert!(error.chain().contains("does not support TLS"), "{}", error.chain());
}

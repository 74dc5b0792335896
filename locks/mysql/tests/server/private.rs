//! What needs a server of its own: TLS, and one that may only be read.

use std::path::Path;
use std::process::Command;

use db_locks_core::{ErrorKind, LockRepository, LockResult, MutexRepository};
use db_locks_mysql::MysqlRepository;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Database, ask, config, granted, mutex, release, server_url};

/// A server with TLS, and a user `guarded` who is let in by TLS only and is no administrator.
struct PrivateServer {
    folder: tempfile::TempDir,
    url: String,
    ca: String,
}

fn xtask(arguments: &[&str], folder: &Path) -> std::process::Output {
    let program =
        std::env::var_os("DB_LOCKS_XTASK").expect("DB_LOCKS_XTASK is not set: run `cargo xtask test`");
    Command::new(program).args(arguments).arg("--dir").arg(folder).output().unwrap()
}

impl PrivateServer {
    async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("db-locks-private-").tempdir().unwrap();
        let output = xtask(&["server", "start", "mysql", "--tls"], folder.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_string();
        let server = Self { url: text("url"), ca: text("ca"), folder };
        let mut database = Database::on(&server.url).await;
        database.run("CREATE USER guarded IDENTIFIED BY 'guarded' REQUIRE SSL").await;
        database.run("GRANT ALL ON locks.* TO guarded").await;
        database.drop().await;
        server
    }

    /// The address of the server.
    fn address(&self) -> &str {
        self.url.split(['@', '/']).nth(3).unwrap()
    }

    async fn connect_to(&self, address: &str, parameters: &str) -> LockResult<()> {
        let url =
            format!("mysql://guarded:guarded@{address}/locks?{parameters}").replace("AUTHORITY", &self.ca);
        let store = MysqlRepository::connect(&config(&url)).await?;
        store.ping().await
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        let _ = xtask(&["server", "kill"], self.folder.path());
    }
}

/// The server under an address that its certificate does not hold.
async fn elsewhere(address: &str) -> String {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let own = listener.local_addr().unwrap().to_string();
    let target = address.to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    own
}

#[tokio::test]
async fn connections_are_encrypted_and_servers_verified_as_asked() {
    let server = PrivateServer::start().await;
    let address = server.address();
    let by_name = address.replace("127.0.0.1", "localhost");
    let elsewhere = elsewhere(address).await;
    for (address, parameters) in [
        (address, "ssl-mode=REQUIRED"),
        (address, "require_ssl=true&verify_ca=false&verify_identity=false"),
        (address, "ssl-mode=VERIFY_CA&ssl-ca=AUTHORITY"),
        (address, "ssl-mode=VERIFY_IDENTITY&ssl-ca=AUTHORITY"),
        (address, "require_ssl=true&ssl-ca=AUTHORITY"),
        (address, "ssl-ca=AUTHORITY"),
        (&by_name, "ssl-mode=VERIFY_IDENTITY&ssl-ca=AUTHORITY"),
        (&elsewhere, "ssl-mode=REQUIRED"),
        (&elsewhere, "ssl-ca=AUTHORITY&ssl-host=localhost"),
    ] {
        let connected = server.connect_to(address, parameters).await;
        connected.unwrap_or_else(|error| panic!("{address} {parameters}: {}", error.chain()));
    }
    for (address, parameters, kind) in [
        // He is let in by TLS only.
        (address, "", ErrorKind::AccessDenied),
        (address, "ssl-mode=DISABLED", ErrorKind::AccessDenied),
        // The roots of the web do not know this authority.
        (address, "require_ssl=true", ErrorKind::AccessDenied),
        (address, "ssl-mode=VERIFY_CA", ErrorKind::AccessDenied),
        (address, "ssl-mode=VERIFY_IDENTITY", ErrorKind::AccessDenied),
        (&elsewhere, "ssl-mode=VERIFY_IDENTITY&ssl-ca=AUTHORITY", ErrorKind::AccessDenied),
        (address, "ssl-ca=AUTHORITY&ssl-host=db.example", ErrorKind::AccessDenied),
        // README says that this driver looks at the name here too: stricter than asked for.
        (&elsewhere, "ssl-mode=VERIFY_CA&ssl-ca=AUTHORITY", ErrorKind::AccessDenied),
        (address, "ssl-mode=VERIFY_CA&ssl-ca=/no/such/file", ErrorKind::Validation),
    ] {
        let error = server.connect_to(address, parameters).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{address} {parameters}: {}", error.chain());
        assert!(!error.chain().contains("guarded:guarded"), "{}", error.chain());
    }
    // The shared server has no TLS, unless it is not ours.
    let url = format!("{}?ssl-mode=REQUIRED", server_url());
    if let Err(error) = MysqlRepository::connect(&config(&url)).await {
        assert!(error.to_string().contains("does not support TLS"), "{}", error.chain());
    }
}

#[tokio::test]
async fn a_read_only_server_refuses_and_can_be_read() {
    let server = PrivateServer::start().await;
    let url = format!("mysql://guarded:guarded@{}/locks?ssl-mode=REQUIRED", server.address());
    let store = MysqlRepository::connect(&config(&url)).await.unwrap();
    let held = granted(&store, &ask(&mutex("one"))).await;
    let mut database = Database::on(&server.url).await;
    database.run("SET GLOBAL read_only = 1").await;
    for error in [
        store.acquire(&ask(&mutex("two"))).await.unwrap_err(),
        store.release(&release(&held)).await.unwrap_err(),
        store.beat(&[]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.chain());
        assert!(error.to_string().contains("read-only"), "{error}");
    }
    assert!(store.get_mutex(&mutex("one")).await.unwrap().locked);
    MysqlRepository::connect(&config(&url)).await.unwrap().get_mutex(&mutex("one")).await.unwrap();
    database.run("SET GLOBAL read_only = 0").await;
    assert!(store.release(&release(&held)).await.unwrap());
}

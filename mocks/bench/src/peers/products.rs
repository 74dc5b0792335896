//! The products: where they are found, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::free_port;
use super::stubs::{SPECIFICATION, Set};
use crate::Failure;

const STUBS: &[Set] = &[Set::Static, Set::Paths, Set::Queries];
const ALL: &[Set] = &[Set::Static, Set::Paths, Set::Queries, Set::Openapi];

/// A product.
pub(crate) struct Product {
    pub(crate) name: &'static str,
    /// What it can be compared in.
    pub(crate) sets: &'static [Set],
    package: Package,
    command: fn(&Start<'_>) -> Result<Command, Failure>,
}

/// What it is installed as.
enum Package {
    /// A part of this program.
    Ours,
    Npm(&'static str),
    Cargo(&'static str),
}

/// What starting takes.
struct Start<'s> {
    site: &'s Site,
    set: Set,
    port: u16,
    /// For its files.
    folder: &'s Path,
}

/// All of them, ours first.
pub(crate) const PRODUCTS: &[Product] = &[
    Product { name: "api-mock-service", sets: ALL, package: Package::Ours, command: ours },
    Product { name: "bare hyper", sets: &[Set::Static], package: Package::Ours, command: bare },
    Product { name: "httpmock", sets: STUBS, package: Package::Cargo("httpmock"), command: httpmock },
    Product { name: "Rift", sets: STUBS, package: Package::Cargo("rift-http-proxy"), command: rift },
    Product {
        name: "MockServer",
        sets: STUBS,
        package: Package::Npm("mockserver-node"),
        command: mockserver,
    },
    Product { name: "WireMock", sets: STUBS, package: Package::Npm("wiremock"), command: wiremock },
    Product {
        name: "Mountebank",
        sets: STUBS,
        package: Package::Npm("@mbtest/mountebank"),
        command: mountebank,
    },
    Product { name: "Mockoon", sets: ALL, package: Package::Npm("@mockoon/cli"), command: mockoon },
    Product {
        name: "Prism",
        sets: &[Set::Openapi],
        package: Package::Npm("@stoplight/prism-cli"),
        command: prism,
    },
];

/// The folder that the products are installed in.
pub(crate) struct Site {
    own: PathBuf,
    folder: Option<PathBuf>,
}

impl Site {
    pub(crate) fn new(folder: Option<PathBuf>) -> Result<Self, Failure> {
        let folder = folder.map(std::fs::canonicalize).transpose()?;
        Ok(Site { own: std::env::current_exe()?, folder })
    }

    /// Name and version of a product, if it is there.
    pub(crate) fn find(&self, product: &Product) -> Option<String> {
        let version = match product.package {
            Package::Ours => return Some(product.name.to_owned()),
            Package::Npm(package) => {
                let text = std::fs::read_to_string(self.module(package).ok()?.join("package.json")).ok()?;
                let package: serde_json::Value = serde_json::from_str(&text).ok()?;
                package.get("version")?.as_str()?.to_owned()
            }
            Package::Cargo(package) => {
                let text = std::fs::read_to_string(self.folder.as_ref()?.join(".crates.toml")).ok()?;
                let after = text.split_once(&format!("\"{package} "))?.1;
                after.split(' ').next()?.to_owned()
            }
        };
        Some(format!("{} {version}", product.name))
    }

    fn folder(&self) -> Result<&Path, Failure> {
        self.folder.as_deref().ok_or_else(|| "there is no folder with other products".into())
    }

    fn module(&self, package: &str) -> Result<PathBuf, Failure> {
        Ok(self.folder()?.join("node_modules").join(package))
    }

    /// A program that npm installed.
    fn script(&self, name: &str) -> Result<Command, Failure> {
        Ok(Command::new(self.folder()?.join("node_modules/.bin").join(name)))
    }

    /// A program that cargo installed.
    fn binary(&self, name: &str) -> Result<Command, Failure> {
        Ok(Command::new(self.folder()?.join("bin").join(name)))
    }

    /// The archive in a folder of an npm package.
    fn archive(&self, folder: &str) -> Result<PathBuf, Failure> {
        let folder = self.module(folder)?;
        let mut files = std::fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
        let found = files.find(|path| path.extension().is_some_and(|extension| extension == "jar"));
        found.ok_or_else(|| format!("no .jar in {}", folder.display()).into())
    }
}

impl Product {
    pub(crate) fn command(
        &self,
        site: &Site,
        set: Set,
        port: u16,
        folder: &Path,
    ) -> Result<Command, Failure> {
        (self.command)(&Start { site, set, port, folder })
    }
}

impl Start<'_> {
    fn port(&self) -> String {
        self.port.to_string()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf, Failure> {
        let path = self.folder.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }
}

fn ours(start: &Start<'_>) -> Result<Command, Failure> {
    let mut command = Command::new(&start.site.own);
    command.args(["serve", "--port", &start.port()]);
    if start.set == Set::Openapi {
        command.arg("--specification").arg(start.write("pets.yaml", SPECIFICATION)?);
    } else {
        start.set.as_scenarios(&start.folder.join("data"))?;
    }
    command.arg(start.folder.join("data"));
    Ok(command)
}

fn bare(start: &Start<'_>) -> Result<Command, Failure> {
    let mut command = Command::new(&start.site.own);
    command.args(["bare", "--port", &start.port()]);
    Ok(command)
}

fn httpmock(start: &Start<'_>) -> Result<Command, Failure> {
    let folder = start.folder.join("mocks");
    std::fs::create_dir(&folder)?;
    start.set.as_httpmock(&folder)?;
    let mut command = start.site.binary("httpmock")?;
    command.args(["--port", &start.port(), "--disable-access-log", "--mock-files-dir"]).arg(folder);
    Ok(command)
}

fn rift(start: &Start<'_>) -> Result<Command, Failure> {
    let file = start.write("imposters.json", start.set.as_imposter(start.port).to_string())?;
    let mut command = start.site.binary("rift-http-proxy")?;
    let (admin, metrics) = (free_port()?.to_string(), free_port()?.to_string());
    command.args(["--host", "127.0.0.1", "--local-only", "--loglevel", "error", "--port", &admin]);
    command.args(["--metrics-port", &metrics, "--configfile"]).arg(file);
    Ok(command)
}

fn mockserver(start: &Start<'_>) -> Result<Command, Failure> {
    let file = start.write("expectations.json", start.set.as_mockserver().to_string())?;
    let mut command = Command::new("java");
    command.arg("-Dmockserver.logLevel=WARN");
    command.arg(format!("-Dmockserver.initializationJsonPath={}", file.display()));
    command.arg("-jar").arg(start.site.archive("mockserver-node")?).args(["-serverPort", &start.port()]);
    Ok(command)
}

fn wiremock(start: &Start<'_>) -> Result<Command, Failure> {
    std::fs::create_dir(start.folder.join("mappings"))?;
    start.write("mappings/all.json", start.set.as_wiremock().to_string())?;
    let mut command = Command::new("java");
    command.arg("-jar").arg(start.site.archive("wiremock/build")?).args(["--port", &start.port()]);
    command.args(["--bind-address", "127.0.0.1", "--no-request-journal", "--root-dir"]).arg(start.folder);
    Ok(command)
}

fn mountebank(start: &Start<'_>) -> Result<Command, Failure> {
    let file = start.write("imposters.json", start.set.as_imposter(start.port).to_string())?;
    let mut command = start.site.script("mb")?;
    command.args(["--port", &free_port()?.to_string(), "--localOnly", "--nologfile", "--loglevel", "error"]);
    command.arg("--noParse").arg("--configfile").arg(file);
    Ok(command)
}

fn mockoon(start: &Start<'_>) -> Result<Command, Failure> {
    let file = match start.set {
        Set::Openapi => start.write("pets.yaml", SPECIFICATION)?,
        set => start.write("environment.json", set.as_mockoon().to_string())?,
    };
    let mut command = start.site.script("mockoon-cli")?;
    command.args(["start", "--port", &start.port(), "--hostname", "127.0.0.1", "--disable-log-to-file"]);
    command.args(["--disable-admin-api", "--repair", "--data"]).arg(file);
    Ok(command)
}

fn prism(start: &Start<'_>) -> Result<Command, Failure> {
    let file = start.write("pets.yaml", SPECIFICATION)?;
    let mut command = start.site.script("prism")?;
    command
        .args(["mock", "--verboseLevel", "error", "--host", "127.0.0.1", "--port", &start.port()])
        .arg(file);
    Ok(command)
}

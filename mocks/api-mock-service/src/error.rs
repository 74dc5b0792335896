//! Why a server does not start, or a scenario does not answer.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// Why a scenario was not taken.
#[derive(thiserror::Error)]
#[error("scenario {name:?} is no good: {source}")]
#[non_exhaustive]
pub struct MountError {
    /// Its name, as far as it has one.
    pub name: String,
    /// What is wrong; names line and field where they are known.
    pub source: api_mock_store::StoreError,
}

/// Why a server does not start. Its `Debug` is for people, as that is what a test prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A scenario is no good.
    #[error(transparent)]
    Scenario(#[from] MountError),
    /// A fixture cannot be taken.
    #[error("fixture {name:?} is no good")]
    Fixture {
        /// Its name.
        name: String,
        /// What is wrong.
        source: api_mock_store::StoreError,
    },
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Files of a folder are no good. A server for users would skip them; a test should not.
    #[error("{}: {}", folder.display(), problems.join("\n"))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong: file, line and field, where they are known.
        problems: Vec<String>,
    },
    /// A specification cannot be used.
    #[error("cannot use the specification {}", path.display())]
    Specification {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: api_mock_server::SpecificationError,
    },
    /// The store cannot be made.
    #[error("cannot make the store of scenarios")]
    Store(#[from] api_mock_store::StoreError),
    /// The server cannot listen.
    #[error(transparent)]
    Server(#[from] api_mock_server::StartError),
    /// The thread of the server cannot be started, or ended before it had begun.
    #[error("cannot start the thread of the server")]
    Thread(#[source] std::io::Error),
}

impl fmt::Debug for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        // What an error says itself, it does not say again as its cause.
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

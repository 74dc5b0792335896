//! The unprivileged account that a server runs as when we are root: PostgreSQL and MariaDB refuse root.

use std::fs;

use crate::failure::{Context, Failure, Result};

/// An account of this machine.
#[derive(Debug, PartialEq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) user_id: u32,
    pub(super) group_id: u32,
}

impl Account {
    /// The account that the server's package made, or `nobody`.
    pub(super) fn named(name: &str) -> Result<Self> {
        let text = fs::read_to_string("/etc/passwd").context(|| "cannot read /etc/passwd".into())?;
        Self::find(&text, name)
            .or_else(|| Self::find(&text, "nobody"))
            .ok_or_else(|| Failure::new(format!("neither {name} nor nobody is an account here")))
    }

    fn find(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(str::parse);
        Some(Self { name: name.into(), user_id: ids.next()?.ok()?, group_id: ids.next()?.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd = "post:x:1:2::/:/bin/sh\npostgres:x:105:113:,,,:/var:/bin/bash\n";
        let found = Account::find(passwd, "postgres").unwrap();
        assert_eq!((found.user_id, found.group_id), (105, 113));
        assert_eq!(Account::find(passwd, "mysql"), None);
    }
}

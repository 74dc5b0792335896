//! What is set for groups: kept in `groups/<group>.json`.

use std::sync::Arc;

use api_mock_scenario::{Format, GroupConfig, group_file, valid_name};

use crate::error::StoreError;
use crate::load::{self, FileKind};
use crate::snapshot::Snapshot;
use crate::store::Store;

/// More than anybody writes by hand.
const GROUPS: usize = 10_000;

impl Store {
    /// What is set for a group.
    ///
    /// # Errors
    /// Nothing is.
    pub fn group_config(&self, group: &str) -> Result<Arc<GroupConfig>, StoreError> {
        self.snapshot().groups.get(group).cloned().ok_or_else(|| not_found(group))
    }

    /// Sets it, in the place of what was set before. The text is JSON or YAML.
    ///
    /// # Errors
    /// The text is not understood, or cannot be stored.
    pub fn put_group_config(&self, group: &str, text: &str) -> Result<Arc<GroupConfig>, StoreError> {
        let expected = "a name of 1 to 200 characters";
        let plain = group.replace(['/', '\\'], "-");
        valid_name(&plain).ok_or(StoreError::Invalid { field: "group", expected })?;
        let kind = FileKind::Scenario(Format::Json);
        load::check_size(&kind, text.len() as u64, &self.shared.options)?;
        let config = Arc::new(GroupConfig::parse(text).map_err(Box::new)?);
        let file = group_file(group);
        let mut writer = self.shared.lock();
        let mut snapshot = Snapshot::clone(&self.shared.snapshot.load());
        if snapshot.groups.len() >= GROUPS && !snapshot.groups.contains_key(group) {
            return Err(StoreError::TooMany(snapshot.groups.len()));
        }
        if let Some(disk) = &self.shared.disk {
            let kept = format!("{:#}\n", config.to_json());
            let stamp = disk.write(&file, kept.as_bytes())?;
            writer.known.insert(file.clone(), stamp);
        }
        writer.problems.retain(|problem| problem.file != file);
        snapshot.groups.insert(group.to_owned(), Arc::clone(&config));
        self.shared.publish(&writer, snapshot);
        Ok(config)
    }

    /// Forgets what is set for a group.
    ///
    /// # Errors
    /// Nothing is, or the file cannot be deleted.
    pub fn delete_group_config(&self, group: &str) -> Result<(), StoreError> {
        let file = group_file(group);
        let mut writer = self.shared.lock();
        let mut snapshot = Snapshot::clone(&self.shared.snapshot.load());
        if snapshot.groups.remove(group).is_none() {
            return Err(not_found(group));
        }
        for file in ["json", "yaml", "yml"].map(|ending| file.with_extension(ending)) {
            if let Some(disk) = self.shared.disk.as_ref().filter(|_| writer.known.contains_key(&file)) {
                disk.delete(&file)?;
            }
            writer.known.remove(&file);
        }
        self.shared.publish(&writer, snapshot);
        Ok(())
    }
}

fn not_found(group: &str) -> StoreError {
    StoreError::NotFound(format!("configuration of the group {group}"))
}

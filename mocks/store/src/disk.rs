//! Files of the data folder: every access stays inside it, every write is whole or not at all.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use api_mock_scenario::in_parts;

use crate::error::StoreError;

/// Files begun and not finished are named so; they are no scenarios and no fixtures.
pub(crate) const TEMPORARY: &str = ".writing-";

/// So many files or folders are made last by one call for the file system.
const MANY: usize = 64;

/// So many threads wait for the disk.
const WAITERS: usize = 8;

/// So many are worth a thread.
const FOR_A_THREAD: usize = 4;

/// How what is written is made to last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// At once, by itself.
    Each,
    /// Later, together with others.
    Together,
}

/// A file that is written beside its place. What is left of one is ignored by all and removed at the next start, if it
/// cannot be removed here.
struct Begun {
    temporary: PathBuf,
    place: PathBuf,
}

impl Begun {
    fn finish(&self) -> Result<(), StoreError> {
        fs::rename(&self.temporary, &self.place).map_err(StoreError::io("write the file"))
    }

    fn stamp(&self) -> Result<Stamp, StoreError> {
        let metadata = fs::metadata(&self.place).map_err(StoreError::io("read the file back"))?;
        Ok(Stamp::of(&metadata))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Mostly it is in its place by now.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// What tells whether a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Stamp {
    pub(crate) fn of(metadata: &fs::Metadata) -> Stamp {
        Stamp {
            modified: metadata.modified().ok(),
            size: metadata.len(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(metadata),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file was written so recently that somebody may still be writing.
    pub(crate) fn is_fresh(&self, settle: Duration) -> bool {
        let age = self.modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.is_some_and(|age| age < settle)
    }
}

/// What is in the data folder.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// All files with relative paths, in order.
    pub(crate) files: Vec<(PathBuf, Stamp)>,
    /// What cannot be looked at, and why.
    pub(crate) problems: Vec<(PathBuf, String)>,
}

/// The data folder.
#[derive(Debug)]
pub(crate) struct Disk {
    /// Without symbolic links.
    root: PathBuf,
    next: AtomicU64,
}

impl Disk {
    /// Opens the folder, making it if needed.
    pub(crate) fn open(root: &Path) -> Result<Disk, StoreError> {
        fs::create_dir_all(root).map_err(StoreError::io("make the data folder"))?;
        let root = fs::canonicalize(root).map_err(StoreError::io("open the data folder"))?;
        Ok(Disk { root, next: AtomicU64::new(0) })
    }

    /// The place of a relative path, checked part by part: only plain names, and no symbolic link
    /// that leads out of the folder.
    fn place(&self, relative: &Path) -> Result<PathBuf, StoreError> {
        let mut place = self.root.clone();
        for part in relative.components() {
            let Component::Normal(name) = part else {
                return Err(StoreError::Invalid {
                    field: "path",
                    expected: "a place inside the data folder",
                });
            };
            place.push(name);
            match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.file_type().is_symlink() => {
                    let target =
                        fs::canonicalize(&place).map_err(StoreError::io("follow a symbolic link"))?;
                    if !target.starts_with(&self.root) {
                        let text = "a symbolic link there leads out of the data folder";
                        return Err(StoreError::Conflict(text.to_owned()));
                    }
                    place = target;
                }
                // What is not there yet cannot be a link.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(place)
    }

    pub(crate) fn exists(&self, relative: &Path) -> bool {
        self.place(relative).is_ok_and(|place| fs::symlink_metadata(place).is_ok())
    }

    pub(crate) fn read(&self, relative: &Path) -> Result<Vec<u8>, StoreError> {
        fs::read(self.place(relative)?).map_err(StoreError::io("read the file"))
    }

    /// Writes a file. When this returns, it is on disk, and nobody ever sees a part of it.
    pub(crate) fn write(&self, relative: &Path, bytes: &[u8]) -> Result<Stamp, StoreError> {
        let begun = self.begin(relative, bytes, Last::Each)?;
        begun.finish()?;
        sync_folder(begun.place.parent().unwrap_or(&self.root))?;
        begun.stamp()
    }

    /// Writes files, as if one after the other, but they are made last together: that each of them is on disk for itself
    /// takes some milliseconds.
    pub(crate) fn write_all(&self, files: &[(&Path, &[u8])]) -> Result<Vec<Stamp>, StoreError> {
        if let [(file, bytes)] = files {
            return Ok(vec![self.write(file, bytes)?]);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let begun = on_threads(files, cores, |(file, bytes)| self.begin(file, bytes, Last::Together))?;
        self.sync(&begun.iter().map(|file| file.temporary.as_path()).collect::<Vec<_>>())?;
        begun.iter().try_for_each(Begun::finish)?;
        // New folders stand in those above them.
        let above = |file: &Begun| {
            let folders = file.place.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root));
            folders.map(Path::to_owned).collect::<Vec<_>>()
        };
        let folders: BTreeSet<PathBuf> = begun.iter().flat_map(above).collect();
        self.sync(&folders.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
        begun.iter().map(Begun::stamp).collect()
    }

    /// Makes files and folders last. Few of them by themselves: who makes the whole file system last waits for what others
    /// wrote, too.
    fn sync(&self, places: &[&Path]) -> Result<(), StoreError> {
        if places.len() >= MANY && CAN_SYNC_ALL {
            return self.sync_all();
        }
        let sync = |place: &&Path| File::open(place).and_then(|file| file.sync_all());
        on_threads(places, WAITERS, |place| sync(place).map_err(StoreError::io("sync the file"))).map(drop)
    }

    /// Writes all of a file beside its place.
    fn begin(&self, relative: &Path, bytes: &[u8], last: Last) -> Result<Begun, StoreError> {
        let place = self.place(relative)?;
        let folder = place.parent().unwrap_or(&self.root).to_path_buf();
        self.make_folder(&folder, last)?;
        // The new folders are no links, and whoever made some meanwhile has to pass this again.
        let place = self.place(relative)?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
        let begun = Begun { temporary, place };
        write_new(&begun.temporary, bytes, last).map_err(StoreError::io("write the file"))?;
        Ok(begun)
    }

    /// Makes all last that was written to the file system of the folder.
    fn sync_all(&self) -> Result<(), StoreError> {
        let action = "sync the data folder";
        let folder = File::open(&self.root).map_err(StoreError::io(action))?;
        sync_file_system(&folder).map_err(StoreError::io(action))
    }

    /// Makes a folder and those above it, and makes them last.
    fn make_folder(&self, folder: &Path, last: Last) -> Result<(), StoreError> {
        let mut missing: Vec<&Path> = Vec::new();
        let mut at = folder;
        while at != self.root && !at.is_dir() {
            missing.push(at);
            at = at.parent().unwrap_or(&self.root);
        }
        for folder in missing.into_iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) if last == Last::Together => {}
                Ok(()) => sync_folder(folder.parent().unwrap_or(&self.root))?,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(source) => return Err(StoreError::Io { action: "make a folder", source }),
            }
        }
        Ok(())
    }

    /// Deletes a file and the folders that it leaves empty.
    pub(crate) fn delete(&self, relative: &Path) -> Result<(), StoreError> {
        // Not empty: it is the last one that changed.
        sync_folder(&self.remove(relative)?)
    }

    /// Deletes files and the folders that they leave empty.
    pub(crate) fn delete_all(&self, files: &[PathBuf]) -> Result<(), StoreError> {
        // A folder that is not empty now may be gone when the next files are.
        let changed: Result<BTreeSet<PathBuf>, StoreError> =
            files.iter().map(|file| self.remove(file)).collect();
        let left: Vec<PathBuf> = changed?.into_iter().filter(|folder| folder.is_dir()).collect();
        self.sync(&left.iter().map(PathBuf::as_path).collect::<Vec<_>>())
    }

    /// Removes a file and the folders that it leaves empty; gives the folder that is left.
    fn remove(&self, relative: &Path) -> Result<PathBuf, StoreError> {
        let place = self.place(relative)?;
        match fs::remove_file(&place) {
            Ok(()) => {}
            // Somebody was faster; it is gone either way.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self.root.clone()),
            Err(source) => return Err(StoreError::Io { action: "delete the file", source }),
        }
        let mut folder = place.parent();
        while let Some(at) = folder.filter(|at| *at != self.root && at.starts_with(&self.root)) {
            if fs::remove_dir(at).is_err() {
                return Ok(at.to_owned());
            }
            folder = at.parent();
        }
        Ok(self.root.clone())
    }

    /// The files right in a folder, in order; none if there is no such folder.
    pub(crate) fn files(&self, folder: &Path) -> Vec<(PathBuf, Stamp)> {
        let entries = self
            .place(folder)
            .and_then(|place| fs::read_dir(place).map_err(StoreError::io("look into the folder")));
        let stamped = |entry: fs::DirEntry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            (!hidden).then(|| (folder.join(entry.file_name()), Stamp::of(&metadata)))
        };
        let mut files: Vec<_> = entries.into_iter().flatten().flatten().filter_map(stamped).collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        files
    }

    /// Looks at all below the folder.
    pub(crate) fn scan(&self) -> Scan {
        let Scan { mut files, mut problems } = Scan::default();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.root.join(&folder)) {
                Ok(entries) => entries,
                Err(error) => {
                    problems.push((folder.clone(), format!("{}: {error}", folder.display())));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                if name.to_string_lossy().starts_with('.') {
                    continue;
                }
                let relative = folder.join(&name);
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(relative),
                    Ok(kind) if kind.is_file() => {
                        if let Ok(metadata) = entry.metadata() {
                            files.push((relative, Stamp::of(&metadata)));
                        }
                    }
                    Ok(kind) if kind.is_symlink() => match self.place(&relative) {
                        Ok(target) => {
                            // A link to a folder would show its files twice, or endlessly.
                            let file = fs::metadata(&target).ok().filter(fs::Metadata::is_file);
                            files.extend(file.map(|metadata| (relative, Stamp::of(&metadata))));
                        }
                        Err(error) => {
                            problems.push((relative.clone(), format!("{}: {error}", relative.display())))
                        }
                    },
                    _ => {}
                }
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        Scan { files, problems }
    }

    /// Removes what killed writers left.
    pub(crate) fn clean(&self) {
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder {
                    folders.push(entry.path());
                } else if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                    let _ = fs::remove_file(entry.path());
                }
            }
        }
    }
}

/// Does something for each, by several threads if there are enough of them.
fn on_threads<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, StoreError> + Sync,
) -> Result<Vec<R>, StoreError> {
    let work = |items: &[T]| items.iter().map(&work).collect::<Result<Vec<R>, StoreError>>();
    let parts: Result<Vec<_>, _> =
        in_parts(items, threads.min(WAITERS), FOR_A_THREAD, work).into_iter().collect();
    Ok(parts?.into_iter().flatten().collect())
}

fn write_new(path: &Path, bytes: &[u8], last: Last) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    if last == Last::Each { file.sync_all() } else { Ok(()) }
}

/// Whether there is a call for that.
const CAN_SYNC_ALL: bool = cfg!(target_os = "linux");

#[cfg(target_os = "linux")]
fn sync_file_system(folder: &File) -> std::io::Result<()> {
    Ok(rustix::fs::syncfs(folder)?)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(folder: &File) -> std::io::Result<()> {
    folder.sync_all()
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync the folder"))
}

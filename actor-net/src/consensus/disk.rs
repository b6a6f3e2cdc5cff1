//! Files that must survive a crash: what has been synced is there afterwards, what has not may be there, in part or
//! not at all.
//!
//! Two kinds of file are all the store needs: one that grows at its end ([`Disk::append`]), and small ones that are
//! replaced whole ([`Disk::replace`]). The real disk is a directory; the simulated one of the tests forgets, when
//! it "crashes", what was not synced, and tears what was being written.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Where the store keeps its files. Used by one thread at a time.
pub(crate) trait Disk: Send + fmt::Debug + 'static {
    /// The whole file; nothing if there is none.
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Adds to the end of a file, makes it if there is none, and returns once that would survive a crash.
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a file to a length, and returns once that would survive a crash.
    fn cut(&mut self, name: &str, bytes: u64) -> io::Result<()>;

    /// Replaces a file whole: after a crash it is the old one or the new one. Returns once it is the new one.
    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Whether its calls wait for a device, so that they are not for the threads of an async runtime.
    fn blocks(&self) -> bool;
}

/// A directory of a file system.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The file that grows, and how long it is by what was written here.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    name: String,
    file: File,
    bytes: u64,
}

impl Directory {
    /// Opens it, makes it if there is none.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        sync_directory(path)?;
        Ok(Self {
            path: path.to_owned(),
            open: None,
        })
    }

    fn growing(&mut self, name: &str) -> io::Result<&mut Open> {
        if self.open.as_ref().is_none_or(|open| open.name != name) {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.path.join(name))?;
            sync_directory(&self.path)?;
            let bytes = file.metadata()?.len();
            self.open = Some(Open {
                name: name.to_owned(),
                file,
                bytes,
            });
        }
        self.open
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for Directory {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let mut file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let open = self.growing(name)?;
        // Two processes that write one log would destroy it without a word.
        if open.file.metadata()?.len() != open.bytes {
            return Err(io::Error::other(format!(
                "{name} was changed by somebody else; give every peer a directory of its own"
            )));
        }
        open.file.write_all(bytes)?;
        open.file.sync_data()?;
        open.bytes += bytes.len() as u64;
        Ok(())
    }

    fn cut(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let open = self.growing(name)?;
        open.file.set_len(bytes)?;
        open.file.sync_all()?;
        open.bytes = bytes;
        Ok(())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.join(format!("{name}.new"));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        if self.open.as_ref().is_some_and(|open| open.name == name) {
            self.open = None;
        }
        fs::rename(&new, self.path.join(name))?;
        sync_directory(&self.path)
    }

    fn blocks(&self) -> bool {
        true
    }
}

/// A name in a directory survives a crash only once the directory is synced.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

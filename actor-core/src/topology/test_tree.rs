//! A directory of small files below the system's temporary one, for tests of what reads files.

use std::fs;
use std::path::{Path, PathBuf};

/// Removed when dropped.
pub(super) struct Tree(PathBuf);

impl Tree {
    /// `name` is unique among the tests of this crate.
    pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = format!("actor-core-{name}-{}", std::process::id());
        let tree = Self(std::env::temp_dir().join(dir));
        let _ = fs::remove_dir_all(&tree.0); // of an earlier process with our number
        fs::create_dir_all(&tree.0).unwrap();
        for (path, content) in files {
            tree.write(path, content);
        }
        tree
    }

    pub(super) fn write(&self, path: &str, content: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(super) fn root(&self) -> &Path {
        &self.0
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

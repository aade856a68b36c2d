//! A commit's files, read from the object database and written as an archive. There is never a work tree.

use std::collections::BTreeMap;
use std::io::Write;

use git2::{ObjectType, Odb, OdbObject, Oid, Repository};

use crate::source::archive::{ArchiveError, ArchiveWriter, Limits, MAX_DEPTH, MAX_PATH, Written};
use crate::source::ignore::{IGNORE_FILE, Matcher, TooManyPatterns};

/// The largest single file.
const MAX_FILE: u64 = 256 << 20;
/// The largest ignore file.
const MAX_IGNORE_FILE: u64 = 1 << 20;

/// Why a commit did not become an archive.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// An object is missing or broken.
    #[error("failed to read object {oid}: {}", source.message())]
    Object {
        /// The object.
        oid: Oid,
        /// What libgit2 says.
        source: git2::Error,
    },
    /// A name that cannot be in a tree, as only a crafted repository has it.
    #[error("invalid name {name:?} in folder '{folder}'")]
    Name {
        /// The folder.
        folder: String,
        /// The name.
        name: String,
    },
    /// More, larger or deeper than allowed.
    #[error("the repository exceeds the limit of {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// What it counts.
        unit: &'static str,
    },
    /// Too many ignore patterns.
    #[error("failed to load source ignore patterns from repository: {0}")]
    Ignore(#[from] TooManyPatterns),
    /// The archive cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

struct Entry {
    path: String,
    /// None for a folder.
    file: Option<(Oid, bool)>,
}

/// Writes the files of a tree as an archive, without what is ignored.
///
/// Symbolic links and submodules are left out, as Flux leaves them out: wherever a link leads, nothing is read through it.
/// So are names that are not UTF-8.
pub fn archive<W: Write>(
    repository: &Repository,
    tree: Oid,
    spec_ignore: Option<&str>,
    limits: Limits,
    out: W,
) -> Result<Written, TreeError> {
    let mut walk = Walk { repository, limits, entries: Vec::new(), seen: 0 };
    walk.folder(tree, "", 0)?;
    let odb = repository.odb().map_err(|source| TreeError::Object { oid: tree, source })?;
    let matcher = Matcher::new(&ignore_files(&odb, &walk.entries)?, spec_ignore)?;
    let mut writer = ArchiveWriter::new(out)?;
    let mut total = 0;
    for entry in &walk.entries {
        let components: Vec<&str> = entry.path.split('/').collect();
        if matcher.is_ignored(&components, entry.file.is_none()) {
            continue;
        }
        match entry.file {
            None => writer.folder(&entry.path)?,
            Some((oid, executable)) => {
                let object = read(&odb, oid, MAX_FILE)?;
                total += object.len() as u64;
                if total > limits.expanded {
                    return Err(TreeError::TooLarge { limit: limits.expanded, unit: "bytes" });
                }
                writer.file(&entry.path, executable, object.data())?;
            }
        }
    }
    let (_, written) = writer.finish()?;
    if written.size > limits.packed {
        return Err(TreeError::TooLarge { limit: limits.packed, unit: "compressed bytes" });
    }
    Ok(written)
}

struct Walk<'a> {
    repository: &'a Repository,
    limits: Limits,
    entries: Vec<Entry>,
    /// All entries, also those that are left out: equal subtrees may be named many times.
    seen: usize,
}

impl Walk<'_> {
    /// Lists a folder in the order of Go's `filepath.Walk`: by name, and a folder's content right after it.
    fn folder(&mut self, tree: Oid, path: &str, depth: usize) -> Result<(), TreeError> {
        if depth >= MAX_DEPTH {
            return Err(TreeError::TooLarge { limit: MAX_DEPTH as u64, unit: "nested folders" });
        }
        let tree = self.repository.find_tree(tree).map_err(|source| TreeError::Object { oid: tree, source })?;
        let mut items: Vec<(String, i32, Oid)> = Vec::with_capacity(tree.len());
        for item in &tree {
            self.seen += 1;
            if self.seen > self.limits.entries {
                return Err(TreeError::TooLarge { limit: self.limits.entries as u64, unit: "entries" });
            }
            let Ok(name) = std::str::from_utf8(item.name_bytes()) else { continue };
            if name.is_empty() || matches!(name, "." | "..") || name.contains(['/', '\\', '\0']) {
                return Err(TreeError::Name { folder: path.to_owned(), name: name.to_owned() });
            }
            items.push((name.to_owned(), item.filemode(), item.id()));
        }
        items.sort();
        for (name, mode, oid) in items {
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            if path.len() > MAX_PATH {
                return Err(TreeError::TooLarge { limit: MAX_PATH as u64, unit: "bytes in a path" });
            }
            match mode {
                0o040_000 => {
                    self.entries.push(Entry { path: path.clone(), file: None });
                    self.folder(oid, &path, depth + 1)?;
                }
                0o100_644 | 0o100_664 | 0o100_755 => {
                    self.entries.push(Entry { path, file: Some((oid, mode == 0o100_755)) });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn ignore_files(odb: &Odb<'_>, entries: &[Entry]) -> Result<BTreeMap<String, String>, TreeError> {
    let mut files = BTreeMap::new();
    for entry in entries {
        let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        if let (IGNORE_FILE, Some((oid, _))) = (name, entry.file) {
            let object = read(odb, oid, MAX_IGNORE_FILE)?;
            files.insert(folder.to_owned(), String::from_utf8_lossy(object.data()).into_owned());
        }
    }
    Ok(files)
}

fn read<'a>(odb: &'a Odb<'_>, oid: Oid, limit: u64) -> Result<OdbObject<'a>, TreeError> {
    let broken = |source| TreeError::Object { oid, source };
    let (size, kind) = odb.read_header(oid).map_err(broken)?;
    if kind != ObjectType::Blob {
        return Err(broken(git2::Error::from_str("it is no file")));
    }
    if size as u64 > limit {
        return Err(TreeError::TooLarge { limit, unit: "bytes in a file" });
    }
    odb.read(oid).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::archive::{ARTIFACT_LIMITS, Files};

    struct Sample {
        _folder: tempfile::TempDir,
        repository: Repository,
    }

    fn sample() -> Sample {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(folder.path()).unwrap();
        Sample { _folder: folder, repository }
    }

    impl Sample {
        fn tree(&self, entries: &[(&str, i32, Oid)]) -> Oid {
            let mut builder = self.repository.treebuilder(None).unwrap();
            for (name, mode, oid) in entries {
                builder.insert(name, *oid, *mode).unwrap();
            }
            builder.write().unwrap()
        }

        fn blob(&self, text: &str) -> Oid {
            self.repository.blob(text.as_bytes()).unwrap()
        }

        /// Writes a tree as it is, so that names which libgit2 refuses can be tested.
        fn raw_tree(&self, mode: &str, name: &str, oid: Oid) -> Oid {
            let data = [format!("{mode} {name}\0").as_bytes(), oid.as_bytes()].concat();
            self.repository.odb().unwrap().write(ObjectType::Tree, &data).unwrap()
        }

        fn archive(&self, tree: Oid, ignore: Option<&str>, limits: Limits) -> Result<Vec<u8>, TreeError> {
            let mut bytes = Vec::new();
            archive(&self.repository, tree, ignore, limits, &mut bytes)?;
            Ok(bytes)
        }

        fn paths(&self, tree: Oid, ignore: Option<&str>) -> Vec<String> {
            let bytes = self.archive(tree, ignore, ARTIFACT_LIMITS).unwrap();
            let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
            tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
        }
    }

    #[test]
    fn files_and_folders_come_in_walk_order_and_links_stay_out() {
        let s = sample();
        let blob = s.blob("x");
        let sub = s.tree(&[("z", 0o100_755, blob)]);
        let tree = s.tree(&[
            ("a", 0o040_000, sub),
            ("a.txt", 0o100_644, blob),
            ("link", 0o120_000, s.blob("/etc/passwd")),
            ("module", 0o160_000, blob),
        ]);
        assert_eq!(s.paths(tree, None), [".", "a", "a/z", "a.txt"]);
        let files = Files::from_tar_gz(&s.archive(tree, None, ARTIFACT_LIMITS).unwrap(), ARTIFACT_LIMITS).unwrap();
        assert!(files.get("a/z").unwrap().executable && !files.get("a.txt").unwrap().executable);
    }

    #[test]
    fn ignore_files_count_relative_to_their_folder() {
        let s = sample();
        let blob = s.blob("x");
        let sub = s.tree(&[
            (IGNORE_FILE, 0o100_644, s.blob("no.txt\n")),
            ("no.txt", 0o100_644, blob),
            ("yes.txt", 0o100_644, blob),
        ]);
        let tree = s.tree(&[("no.txt", 0o100_644, blob), ("sub", 0o040_000, sub), ("v.zip", 0o100_644, blob)]);
        assert_eq!(s.paths(tree, None), [".", "no.txt", "sub", "sub/.sourceignore", "sub/yes.txt", "v.zip"]);
        let all = Some("/*\n!/sub\n");
        assert_eq!(s.paths(tree, all), [".", "sub", "sub/.sourceignore", "sub/no.txt", "sub/yes.txt"]);
    }

    #[test]
    fn crafted_names_are_refused() {
        let s = sample();
        let blob = s.blob("x");
        for name in ["..", ".", "a\\b", "a/b"] {
            let tree = s.raw_tree("100644", name, blob);
            let outcome = s.archive(tree, None, ARTIFACT_LIMITS);
            assert!(matches!(outcome, Err(TreeError::Name { .. } | TreeError::Object { .. })), "{name}: {outcome:?}");
        }
    }

    #[test]
    fn a_tree_that_names_itself_many_times_is_stopped() {
        let s = sample();
        let mut tree = s.tree(&[("leaf", 0o100_644, s.blob("x"))]);
        for _ in 0..20 {
            let names: Vec<String> = (0..10).map(|number| number.to_string()).collect();
            let entries: Vec<_> = names.iter().map(|name| (name.as_str(), 0o040_000, tree)).collect();
            tree = s.tree(&entries);
        }
        let limits = Limits { entries: 10_000, ..ARTIFACT_LIMITS };
        assert!(matches!(s.archive(tree, None, limits), Err(TreeError::TooLarge { unit: "entries", .. })));
        for _ in 0..MAX_DEPTH {
            tree = s.tree(&[("d", 0o040_000, tree)]);
        }
        assert!(matches!(
            s.archive(tree, None, ARTIFACT_LIMITS),
            Err(TreeError::TooLarge { unit: "nested folders", .. })
        ));
    }

    #[test]
    fn more_bytes_than_allowed_are_refused() {
        let s = sample();
        let tree = s.tree(&[("a", 0o100_644, s.blob(&"x".repeat(1000)))]);
        let limits = Limits { expanded: 999, ..ARTIFACT_LIMITS };
        assert!(matches!(s.archive(tree, None, limits), Err(TreeError::TooLarge { unit: "bytes", .. })));
    }

    #[test]
    fn a_missing_object_is_named() {
        let s = sample();
        let gone = Oid::from_str("0123456789012345678901234567890123456789").unwrap();
        let tree = s.raw_tree("100644", "a", gone);
        let error = s.archive(tree, None, ARTIFACT_LIMITS).unwrap_err();
        assert!(error.to_string().contains(&gone.to_string()), "{error}");
    }
}

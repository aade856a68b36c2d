//! Archives: the deterministic `tar.gz` that artifacts are kept as, and bounded reading of them.
//!
//! What is written is what Flux writes: folders and regular files in walk order, modes 0750, 0600 and 0700, no owner
//! and no times, so that one tree always gives the same bytes. What is read goes to memory and never to a folder: links
//! and devices are refused, and so are names that leave the root, duplicates, and whatever is beyond the limits.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// Bounds for reading an archive.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the archive as it is stored or sent.
    pub packed: u64,
    /// Bytes after decompression, headers included.
    pub expanded: u64,
    /// Entries, folders included.
    pub entries: usize,
}

/// What an artifact may hold. The same numbers bound what a fetch writes.
pub const ARTIFACT_LIMITS: Limits = Limits { packed: 512 << 20, expanded: 1 << 30, entries: 500_000 };
/// The longest path, in bytes.
pub const MAX_PATH: usize = 1024;
/// The deepest path, in components.
pub const MAX_DEPTH: usize = 64;

/// Why an archive was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Writing failed.
    #[error("failed to write archive")]
    Write(#[source] io::Error),
    /// The bytes are no gzip or no tar.
    #[error("failed to read archive")]
    Read(#[source] io::Error),
    /// The archive is larger than allowed.
    #[error("archive exceeds the limit of {limit} {unit}")]
    TooLarge {
        /// The limit that was hit.
        limit: u64,
        /// What it counts.
        unit: &'static str,
    },
    /// A name leaves the root, is not UTF-8, or is too long or too deep.
    #[error("archive entry {name:?} has an unusable name")]
    Name {
        /// The name, unprintable bytes replaced.
        name: String,
    },
    /// The same name twice.
    #[error("archive entry {name:?} is there twice")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A link, a device or another special file.
    #[error("archive entry {name:?} is neither a file nor a folder")]
    Special {
        /// The name.
        name: String,
    },
}

/// What was written: the digest as `sha256:<hex>`, and the size in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// `sha256:<hex>` of the compressed bytes.
    pub digest: String,
    /// Compressed size in bytes.
    pub size: u64,
}

/// Writes one archive. Entries must come in walk order for the bytes to be the same each time.
pub struct ArchiveWriter<W: Write> {
    tar: tar::Builder<GzEncoder<Hashing<W>>>,
}

impl<W: Write> ArchiveWriter<W> {
    /// Starts an archive with its root folder, as Flux does.
    pub fn new(out: W) -> Result<Self, ArchiveError> {
        let hashing = Hashing { out, hash: Sha256::new(), size: 0 };
        let mut writer = Self { tar: tar::Builder::new(GzEncoder::new(hashing, Compression::default())) };
        writer.folder(".")?;
        Ok(writer)
    }

    /// Adds a folder. The path has no slash at its end.
    pub fn folder(&mut self, path: &str) -> Result<(), ArchiveError> {
        self.append(path, tar::EntryType::Directory, 0o750, &[])
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, executable: bool, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.append(path, tar::EntryType::Regular, if executable { 0o700 } else { 0o600 }, bytes)
    }

    fn append(&mut self, path: &str, kind: tar::EntryType, mode: u32, bytes: &[u8]) -> Result<(), ArchiveError> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        self.tar.append_data(&mut header, path, bytes).map_err(ArchiveError::Write)
    }

    /// Ends the archive and gives back where it was written to.
    pub fn finish(self) -> Result<(W, Written), ArchiveError> {
        let gzip = self.tar.into_inner().map_err(ArchiveError::Write)?;
        let mut hashing = gzip.finish().map_err(ArchiveError::Write)?;
        hashing.flush().map_err(ArchiveError::Write)?;
        let written = Written { digest: format!("sha256:{}", hex(&hashing.hash.finalize())), size: hashing.size };
        Ok((hashing.out, written))
    }
}

struct Hashing<W> {
    out: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buf)?;
        self.hash.update(&buf[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Returns the digest of some bytes as `sha256:<hex>`.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Returns bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The files of a source in memory: one buffer, and an index by path. A clone shares the bytes.
#[derive(Clone)]
pub struct Files {
    data: Arc<Vec<u8>>,
    index: Arc<BTreeMap<String, Place>>,
    folders: Arc<std::collections::BTreeSet<String>>,
}

#[derive(Debug, Clone)]
struct Place {
    range: Range<usize>,
    executable: bool,
}

/// One file of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'a> {
    /// The path from the root, with `/`.
    pub path: &'a str,
    /// The content.
    pub bytes: &'a [u8],
    /// Has an execute bit.
    pub executable: bool,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files")
            .field("files", &self.index.len())
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

impl Files {
    /// Reads a `tar.gz` within the limits.
    pub fn from_tar_gz(packed: &[u8], limits: Limits) -> Result<Self, ArchiveError> {
        Self::read(packed, limits, false)
    }

    /// Reads a `tar.gz` within the limits, and leaves links out.
    pub fn without_links(packed: &[u8], limits: Limits) -> Result<Self, ArchiveError> {
        Self::read(packed, limits, true)
    }

    fn read(packed: &[u8], limits: Limits, skips_links: bool) -> Result<Self, ArchiveError> {
        if packed.len() as u64 > limits.packed {
            return Err(ArchiveError::TooLarge { limit: limits.packed, unit: "compressed bytes" });
        }
        let mut data = Vec::new();
        let mut bounded = MultiGzDecoder::new(packed).take(limits.expanded + 1);
        bounded.read_to_end(&mut data).map_err(ArchiveError::Read)?;
        if data.len() as u64 > limits.expanded {
            return Err(ArchiveError::TooLarge { limit: limits.expanded, unit: "bytes" });
        }
        data.shrink_to_fit();
        Self::from_tar(data, limits.entries, skips_links)
    }

    fn from_tar(data: Vec<u8>, max_entries: usize, skips_links: bool) -> Result<Self, ArchiveError> {
        let mut index = BTreeMap::new();
        let mut folders = std::collections::BTreeSet::new();
        let mut archive = tar::Archive::new(data.as_slice());
        for (count, entry) in archive.entries().map_err(ArchiveError::Read)?.enumerate() {
            if count >= max_entries {
                return Err(ArchiveError::TooLarge { limit: max_entries as u64, unit: "entries" });
            }
            let entry = entry.map_err(ArchiveError::Read)?;
            let name = entry.path_bytes().into_owned();
            let shown = || String::from_utf8_lossy(&name).into_owned();
            let kind = entry.header().entry_type();
            if kind == tar::EntryType::XGlobalHeader || skips_links && (kind.is_symlink() || kind.is_hard_link()) {
                continue;
            }
            let path = clean_name(&name).ok_or_else(|| ArchiveError::Name { name: shown() })?;
            if kind.is_dir() {
                folders.insert(path);
                continue;
            }
            if !kind.is_file() || path.is_empty() {
                return Err(ArchiveError::Special { name: shown() });
            }
            let start = entry.raw_file_position() as usize;
            let range = start..start.saturating_add(entry.size() as usize);
            if range.end > data.len() {
                return Err(ArchiveError::Read(io::ErrorKind::UnexpectedEof.into()));
            }
            let executable = entry.header().mode().map_err(ArchiveError::Read)? & 0o111 != 0;
            if index.insert(path, Place { range, executable }).is_some() {
                return Err(ArchiveError::Duplicate { name: shown() });
            }
        }
        folders.remove("");
        for path in index.keys() {
            let mut rest = path.as_str();
            while let Some((parent, _)) = rest.rsplit_once('/') {
                if !folders.insert(parent.to_owned()) {
                    break;
                }
                rest = parent;
            }
        }
        if let Some(both) = folders.iter().find(|folder| index.contains_key(*folder)) {
            return Err(ArchiveError::Duplicate { name: both.clone() });
        }
        Ok(Self { data: Arc::new(data), index: Arc::new(index), folders: Arc::new(folders) })
    }

    /// Returns one file.
    pub fn get(&self, path: &str) -> Option<File<'_>> {
        self.index.get_key_value(path).map(|(path, place)| self.file(path, place))
    }

    /// Iterates over all files in byte order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = File<'_>> {
        self.index.iter().map(|(path, place)| self.file(path, place))
    }

    /// Iterates over the files below a folder; the root is the empty string. The paths stay those from the root.
    pub fn below<'a>(&'a self, folder: &str) -> impl Iterator<Item = File<'a>> + 'a {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let start = prefix.clone();
        self.index
            .range(start..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .map(|(path, place)| self.file(path, place))
    }

    /// True when the folder is there, also when it has no files. The root is the empty string.
    pub fn has_folder(&self, path: &str) -> bool {
        path.is_empty() || self.folders.contains(path)
    }

    /// Iterates over all folders but the root, in byte order of their paths.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.folders.iter().map(String::as_str)
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// True when there are no files.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The bytes that this holds in memory.
    pub fn held_bytes(&self) -> usize {
        self.data.capacity()
    }

    fn file<'a>(&'a self, path: &'a str, place: &Place) -> File<'a> {
        File { path, bytes: &self.data[place.range.clone()], executable: place.executable }
    }
}

/// Makes a name relative to the root without `.` components; none when it is absolute, climbs, or is not usable.
fn clean_name(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    if name.len() > MAX_PATH || name.starts_with('/') || name.contains(['\0', '\\']) {
        return None;
    }
    clean_path(name)
}

/// Makes a relative path of a user's (`./charts/app/`) the plain one (`charts/app`); none when it climbs out of the
/// root, is absolute or too deep. The root is the empty string.
pub fn clean_path(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    if path.starts_with('/') {
        return None;
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => parts.push(part),
        }
    }
    (parts.len() <= MAX_DEPTH).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Limits {
        Limits { packed: 1 << 20, expanded: 1 << 20, entries: 100 }
    }

    fn sample() -> (Vec<u8>, Written) {
        let mut writer = ArchiveWriter::new(Vec::new()).unwrap();
        writer.folder("test").unwrap();
        writer.file("test/executable", true, b"#!/bin/sh\n").unwrap();
        writer.file("test/file", false, b"text").unwrap();
        writer.finish().unwrap()
    }

    fn tar_gz(build: impl FnOnce(&mut tar::Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        build(&mut tar);
        tar.into_inner().unwrap().finish().unwrap()
    }

    /// A header whose name is written as it is, so that names which the `tar` crate refuses can be tested.
    fn raw(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_old();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        header
    }

    #[test]
    fn the_same_tree_gives_the_same_bytes() {
        let (first, written) = sample();
        assert_eq!(sample(), (first.clone(), written.clone()));
        assert_eq!(written.digest, digest(&first));
        assert_eq!(written.size, first.len() as u64);
    }

    #[test]
    fn modes_owners_and_times_are_those_of_flux() {
        let (bytes, _) = sample();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let seen: Vec<(String, u32, u64, u64, u64)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!(header.username_bytes(), Some(&b""[..]));
                (
                    entry.path().unwrap().display().to_string(),
                    header.mode().unwrap(),
                    header.uid().unwrap(),
                    header.gid().unwrap(),
                    header.mtime().unwrap(),
                )
            })
            .collect();
        let expected = [(".", 0o750), ("test", 0o750), ("test/executable", 0o700), ("test/file", 0o600)];
        assert_eq!(seen, expected.map(|(name, mode)| (name.to_owned(), mode, 0, 0, 0)));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (bytes, _) = sample();
        let files = Files::from_tar_gz(&bytes, small()).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files.get("test/file").unwrap().bytes, b"text");
        assert!(files.get("test/executable").unwrap().executable);
        assert!(files.has_folder("test") && files.has_folder("") && !files.has_folder("other"));
        assert_eq!(files.below("test").count(), 2);
        assert_eq!(files.below("tes").count(), 0);
    }

    #[test]
    fn a_long_name_is_kept() {
        let name = format!("{}/file.yaml", ["folder"; 40].join("/"));
        let mut writer = ArchiveWriter::new(Vec::new()).unwrap();
        writer.file(&name, false, b"x").unwrap();
        let (bytes, _) = writer.finish().unwrap();
        assert_eq!(Files::from_tar_gz(&bytes, small()).unwrap().get(&name).unwrap().bytes, b"x");
    }

    #[test]
    fn names_that_leave_the_root_are_refused() {
        for name in ["../x", "/etc/passwd", "a/../../x", "a\\..\\b"] {
            let bytes = tar_gz(|tar| tar.append(&raw(name, tar::EntryType::Regular, 1), &b"x"[..]).unwrap());
            let error = Files::from_tar_gz(&bytes, small()).unwrap_err();
            assert!(matches!(error, ArchiveError::Name { .. }), "{name}: {error}");
        }
    }

    #[test]
    fn links_and_devices_are_refused() {
        use tar::EntryType;
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo] {
            let bytes = tar_gz(|tar| tar.append(&raw("x", kind, 0), &b""[..]).unwrap());
            let error = Files::from_tar_gz(&bytes, small()).unwrap_err();
            assert!(matches!(error, ArchiveError::Special { .. }), "{kind:?}: {error}");
        }
    }

    #[test]
    fn the_same_name_twice_is_refused() {
        let bytes = tar_gz(|tar| {
            tar.append(&raw("a/b", tar::EntryType::Regular, 1), &b"x"[..]).unwrap();
            tar.append(&raw("./a/b", tar::EntryType::Regular, 1), &b"y"[..]).unwrap();
        });
        assert!(matches!(Files::from_tar_gz(&bytes, small()), Err(ArchiveError::Duplicate { .. })));
        let bytes = tar_gz(|tar| {
            tar.append(&raw("a", tar::EntryType::Regular, 1), &b"x"[..]).unwrap();
            tar.append(&raw("a/b", tar::EntryType::Regular, 1), &b"y"[..]).unwrap();
        });
        assert!(matches!(Files::from_tar_gz(&bytes, small()), Err(ArchiveError::Duplicate { .. })));
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bytes = tar_gz(|tar| {
            let zeros = vec![0; 8 << 20];
            tar.append(&raw("zeros", tar::EntryType::Regular, zeros.len() as u64), zeros.as_slice()).unwrap();
        });
        assert!(bytes.len() < 1 << 20);
        assert!(matches!(Files::from_tar_gz(&bytes, small()), Err(ArchiveError::TooLarge { unit: "bytes", .. })));
    }

    #[test]
    fn too_many_entries_are_refused() {
        let bytes = tar_gz(|tar| {
            for number in 0..200 {
                tar.append(&raw(&format!("f{number}"), tar::EntryType::Regular, 0), &b""[..]).unwrap();
            }
        });
        assert!(matches!(Files::from_tar_gz(&bytes, small()), Err(ArchiveError::TooLarge { unit: "entries", .. })));
    }

    #[test]
    fn a_cut_archive_is_an_error() {
        let (bytes, _) = sample();
        assert!(Files::from_tar_gz(&bytes[..bytes.len() / 2], small()).is_err());
        assert!(Files::from_tar_gz(b"not an archive", small()).is_err());
        let bytes =
            tar_gz(|tar| tar.get_mut().write_all(&raw("x", tar::EntryType::Regular, 9999).as_bytes()[..]).unwrap());
        assert!(Files::from_tar_gz(&bytes, small()).is_err());
    }

    #[test]
    fn a_path_is_cleaned_or_refused() {
        assert_eq!(clean_path("./charts//app/"), Some("charts/app".to_owned()));
        assert_eq!(clean_path("."), Some(String::new()));
        assert_eq!(clean_path("../x"), None);
        assert_eq!(clean_path("/abs"), None);
    }
}

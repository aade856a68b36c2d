//! A layer's files, packed anew as an artifact.

use std::collections::BTreeMap;

use crate::source::archive::{ArchiveError, ArchiveWriter, Files, Limits, Written};
use crate::source::ignore::{IGNORE_FILE, Matcher, TooManyPatterns};

/// What a layer may hold. It is in memory while it is packed anew.
pub const LAYER_LIMITS: Limits = Limits { packed: 128 << 20, expanded: 512 << 20, entries: 100_000 };

/// Why a layer did not become an artifact.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// It is no archive of files.
    #[error("failed to extract layer contents from artifact")]
    Extract(#[source] ArchiveError),
    /// Too many ignore patterns.
    #[error("failed to load source ignore patterns from repository")]
    Ignore(#[from] TooManyPatterns),
    /// The archive cannot be written.
    #[error("unable to archive artifact to storage")]
    Archive(#[source] ArchiveError),
}

/// Packs the files of a layer (`tar.gz`) as an artifact, without links and without what is ignored.
pub fn repack(layer: &[u8], spec_ignore: Option<&str>) -> Result<(Vec<u8>, Written), LayerError> {
    let files = Files::without_links(layer, LAYER_LIMITS).map_err(LayerError::Extract)?;
    let mut ignore_files = BTreeMap::new();
    for file in files.iter() {
        let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", file.path));
        if name == IGNORE_FILE {
            ignore_files.insert(folder.to_owned(), String::from_utf8_lossy(file.bytes).into_owned());
        }
    }
    let matcher = Matcher::new(&ignore_files, spec_ignore)?;
    let mut writer = ArchiveWriter::new(Vec::new()).map_err(LayerError::Archive)?;
    // By components, which is the order of a walk: a folder's content comes right after it.
    let mut paths: Vec<Vec<&str>> =
        files.folders().chain(files.iter().map(|file| file.path)).map(|path| path.split('/').collect()).collect();
    paths.sort();
    for components in paths {
        let path = components.join("/");
        let file = files.get(&path);
        if matcher.is_ignored(&components, file.is_none()) {
            continue;
        }
        match file {
            None => writer.folder(&path),
            Some(file) => writer.file(&path, file.executable, file.bytes),
        }
        .map_err(LayerError::Archive)?;
    }
    writer.finish().map_err(LayerError::Archive)
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn layer(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, kind, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            if kind.is_symlink() {
                header.set_link_name("/etc/passwd").unwrap();
            }
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn files_are_packed_in_the_order_of_a_walk_without_links_and_ignored_ones() {
        use tar::EntryType::{Directory, Regular, Symlink};
        let layer = layer(&[
            ("b-c/x.yaml", Regular, "1"),
            ("b/", Directory, ""),
            ("b/x.yaml", Regular, "2"),
            ("b/x.png", Regular, "3"),
            ("a", Symlink, ""),
        ]);
        let (bytes, written) = repack(&layer, None).unwrap();
        assert_eq!(names(&bytes), [".", "b", "b/x.yaml", "b-c", "b-c/x.yaml"]);
        assert_eq!(repack(&layer, None).unwrap().1, written);
        let (bytes, _) = repack(&layer, Some("b-c/\n")).unwrap();
        assert_eq!(names(&bytes), [".", "b", "b/x.png", "b/x.yaml"]);
    }

    #[test]
    fn what_is_no_archive_is_an_error() {
        let error = repack(b"text", None).unwrap_err();
        assert_eq!(error.to_string(), "failed to extract layer contents from artifact");
    }
}

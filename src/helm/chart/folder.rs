//! Charts in folders, and the choice between folder and archive.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Chart;
use super::archive::{self, BufferedFile, MAX_CHART_SIZE, MAX_ENTRIES};
use super::ignore::Rules;
use super::links;
use super::load::{self, check_api_version};
use crate::notice::{Level, Notice};

/// How deep a chart's folders may nest; a link to its own parent would have no end.
pub const MAX_FOLDER_DEPTH: usize = 64;

/// Which symbolic links inside a chart's folder are followed.
#[derive(Debug, Clone)]
pub enum Links {
    /// All, as `helm` does for a chart of the user's own.
    Follow,
    /// Those that stay inside a folder, for charts from a source that is not trusted.
    Within(PathBuf),
}

/// Why a folder or file could not be read; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unable to detect chart at {path}: open {path}: {}", system_text(.source))]
    Detect { path: String, source: io::Error },
    #[error("{operation} {path}: {}", system_text(.source))]
    System { operation: &'static str, path: String, source: io::Error },
    #[error("error reading {name}: open {path}: {}", system_text(.source))]
    Read { name: String, path: String, source: io::Error },
    #[error("error reading {name}: chart exceeds maximum decompressed size of {MAX_CHART_SIZE} bytes")]
    TooLarge { name: String },
    #[error("cannot load irregular file {path} as it has file mode type bits set")]
    Irregular { path: String },
    #[error("error evaluating symlink {path}: {source}")]
    Link { path: String, source: links::Error },
    #[error("symbolic link {name} leads out of the chart's source")]
    LinkLeadsOut { name: String },
    #[error("chart has more than {MAX_ENTRIES} files")]
    TooManyFiles,
    #[error("folders are nested deeper than {MAX_FOLDER_DEPTH}")]
    TooDeep,
    #[error("file '{path}' seems to be a YAML file, but expected a gzipped archive")]
    YamlFile { path: String },
    #[error("file '{path}' does not appear to be a gzipped archive; got '{found}'")]
    NoArchive { path: String, found: &'static str },
    #[error("file '{path}' does not appear to be a valid chart file (details: gzip: invalid header)")]
    BadHeader { path: String },
    #[error("unable to load chart archive")]
    Archive(#[source] archive::Error),
}

/// Writes an error of the system as Go does: in lower case and without its number.
pub fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

impl Chart {
    /// Loads a chart from a folder or an archive file. `path` is absolute: it is named in errors as it is.
    pub fn load(path: &Path, links: &Links) -> Result<Self, load::Error> {
        let failed = |source| Error::System { operation: "stat", path: show(path), source };
        if fs::metadata(path).map_err(failed)?.is_dir() { Self::load_folder(path, links) } else { load_file(path) }
    }

    fn load_folder(path: &Path, links: &Links) -> Result<Self, load::Error> {
        let (files, notices) = read(path, links)?;
        let mut chart = Self::from_files(files)?;
        chart.notices.splice(0..0, notices);
        Ok(chart)
    }
}

/// Reads the files of a chart's folder without those that its `.helmignore` leaves out, and what Helm logs of it.
pub fn read(path: &Path, links: &Links) -> Result<(Vec<BufferedFile>, Vec<Notice>), load::Error> {
    let chart_yaml = path.join("Chart.yaml");
    let read = fs::read(&chart_yaml).map_err(|source| Error::Detect { path: show(&chart_yaml), source })?;
    check_api_version(&read)?;
    let ignore = path.join(".helmignore");
    let rules = if fs::metadata(&ignore).is_ok() {
        let failed = |source| Error::System { operation: "open", path: show(&ignore), source };
        Rules::parse(&String::from_utf8_lossy(&fs::read(&ignore).map_err(failed)?))?
    } else {
        Rules::parse("")?
    };
    let mut walk =
        Walk { rules, links, files: Vec::new(), remaining: MAX_CHART_SIZE, buffer: Vec::new(), notices: Vec::new() };
    walk.enter(path, "", 0)?;
    Ok((walk.files, walk.notices))
}

fn load_file(path: &Path) -> Result<Chart, load::Error> {
    let failed = |source| Error::System { operation: "open", path: show(path), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.by_ref().take(MAX_CHART_SIZE).read_to_end(&mut bytes).map_err(failed)?;
    if !bytes.starts_with(&[0x1f, 0x8b, 8]) {
        let shown = show(path);
        let is_yaml = path.extension().is_some_and(|e| e == "yml" || e == "yaml");
        // Helm looks at 512 bytes even when the file has less: the rest is zeros.
        let mut head = [0; 512];
        head.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
        let found = content_type(&head);
        let error = if is_yaml { Error::YamlFile { path: shown } } else { Error::NoArchive { path: shown, found } };
        return Err(error.into());
    }
    Chart::from_archive(&bytes).map_err(|error| match error {
        load::Error::NoArchive => Error::BadHeader { path: show(path) }.into(),
        // The command line hides the cause, as Helm does.
        load::Error::Archive(source) => Error::Archive(source).into(),
        error => error,
    })
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

struct Walk<'a> {
    rules: Rules,
    links: &'a Links,
    files: Vec<BufferedFile>,
    remaining: u64,
    /// What a file is read into before it is kept.
    buffer: Vec<u8>,
    notices: Vec<Notice>,
}

impl Walk<'_> {
    /// Reads what is in a folder, in byte order of the names.
    fn enter(&mut self, folder: &Path, name: &str, depth: usize) -> Result<(), Error> {
        if depth > MAX_FOLDER_DEPTH {
            return Err(Error::TooDeep);
        }
        let failed = |source| Error::System { operation: "open", path: show(folder), source };
        let entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let mut names: Vec<_> = entries.iter().map(fs::DirEntry::file_name).collect();
        names.sort();
        for entry in names {
            let path = folder.join(&entry);
            let entry = entry.to_string_lossy();
            let inner = if name.is_empty() { entry.into_owned() } else { format!("{name}/{entry}") };
            let failed = |source| Error::System { operation: "lstat", path: show(&path), source };
            let mut metadata = fs::symlink_metadata(&path).map_err(failed)?;
            if metadata.is_symlink() {
                metadata = self.follow(&path, &inner)?;
            }
            self.visit(&path, &inner, &metadata, depth)?;
        }
        Ok(())
    }

    fn follow(&mut self, path: &Path, name: &str) -> Result<Metadata, Error> {
        let failed = |source| Error::Link { path: show(path), source };
        let resolved = links::resolve(path).map_err(failed)?;
        if let Links::Within(root) = self.links {
            let root = links::resolve(root).map_err(failed)?;
            if !resolved.starts_with(root) {
                return Err(Error::LinkLeadsOut { name: name.to_string() });
            }
        }
        let message = "found symbolic link in path. Contents of linked file included and used";
        let notice = Notice::new(Level::Info, message).with("path", show(path)).with("resolved", show(&resolved));
        self.notices.push(notice);
        let failed = |source| Error::System { operation: "lstat", path: show(&resolved), source };
        fs::symlink_metadata(&resolved).map_err(failed)
    }

    fn visit(&mut self, path: &Path, name: &str, metadata: &Metadata, depth: usize) -> Result<(), Error> {
        if self.rules.ignores(name, metadata.is_dir()) {
            return Ok(());
        }
        if metadata.is_dir() {
            return self.enter(path, name, depth + 1);
        }
        if !metadata.is_file() {
            return Err(Error::Irregular { path: show(path) });
        }
        if self.files.len() >= MAX_ENTRIES {
            return Err(Error::TooManyFiles);
        }
        let failed = |source| Error::Read { name: name.to_string(), path: show(path), source };
        self.buffer.clear();
        let file = fs::File::open(path).map_err(failed)?;
        file.take(self.remaining + 1).read_to_end(&mut self.buffer).map_err(failed)?;
        self.remaining = self
            .remaining
            .checked_sub(self.buffer.len() as u64)
            .ok_or_else(|| Error::TooLarge { name: name.to_string() })?;
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        self.files.push(BufferedFile {
            name: name.to_string(),
            modified: modified.map(|since| since.as_secs() as i64),
            data: archive::without_bom(&self.buffer).into(),
        });
        Ok(())
    }
}

/// Names what a file is in place of an archive, as Go's `http.DetectContentType` does for the kinds that people mistake
/// for charts.
fn content_type(data: &[u8]) -> &'static str {
    let trimmed = data.trim_ascii_start();
    let starts = |prefix: &[u8]| trimmed.len() >= prefix.len() && trimmed[..prefix.len()].eq_ignore_ascii_case(prefix);
    if starts(b"<!DOCTYPE HTML") || starts(b"<HTML") || starts(b"<!--") {
        "text/html; charset=utf-8"
    } else if starts(b"<?xml") {
        "text/xml; charset=utf-8"
    } else if data.starts_with(b"%PDF-") {
        "application/pdf"
    } else if data.starts_with(b"PK\x03\x04") {
        "application/zip"
    } else if data.starts_with(b"\x89PNG\r\n\x1a\n") {
        "image/png"
    } else if data.starts_with(b"\xef\xbb\xbf") {
        "text/plain; charset=utf-8"
    } else if data.starts_with(b"\xfe\xff") {
        "text/plain; charset=utf-16be"
    } else if data.starts_with(b"\xff\xfe") {
        "text/plain; charset=utf-16le"
    } else if data.iter().any(|b| matches!(b, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f)) {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

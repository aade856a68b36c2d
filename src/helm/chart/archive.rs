//! Chart archives: a gzipped tar of which nothing is written to disk.

use std::io::Read;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use crate::quote::quote;

/// The most bytes of all files of a chart together (`MaxDecompressedChartSize` in Helm).
pub const MAX_CHART_SIZE: u64 = 100 << 20;
/// The most entries of an archive or a folder; Helm has no such limit.
pub const MAX_ENTRIES: usize = 20_000;
/// The most bytes that an archive's headers, padding and skipped entries may add to its files.
const MAX_OVERHEAD: u64 = 16 << 20;

/// A file of a chart, before the chart is made of it.
#[derive(Debug, Clone)]
pub struct BufferedFile {
    /// The path inside the chart, with slashes.
    pub name: String,
    /// Seconds since 1970, when the source tells.
    pub modified: Option<i64>,
    pub data: Arc<[u8]>,
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("gzip: invalid header")]
    Header,
    #[error("{}", if *.0 == 0 { "EOF" } else { "unexpected EOF" })]
    Short(usize),
    #[error("{0}")]
    Read(#[source] std::io::Error),
    #[error("chart illegally contains absolute paths")]
    AbsolutePath,
    #[error("chart illegally contains content outside the base directory: {}", quote(.0))]
    OutsideBase(String),
    #[error("chart illegally references parent directory")]
    ParentDirectory,
    #[error("chart contains illegally named files")]
    IllegalName,
    #[error("chart yaml not in base directory")]
    ChartYamlOutsideBase,
    #[error("decompressed chart is larger than the maximum size {MAX_CHART_SIZE}")]
    TooLarge,
    #[error("chart has more than {MAX_ENTRIES} files")]
    TooManyEntries,
    #[error("no files in chart archive")]
    Empty,
}

/// Reads the files of an archive. The first part of each path, the chart's folder, is dropped; links have no content.
pub fn read(archive: &[u8]) -> Result<Vec<BufferedFile>, Error> {
    read_within(archive, MAX_CHART_SIZE, MAX_ENTRIES)
}

fn read_within(archive: &[u8], max_size: u64, max_entries: usize) -> Result<Vec<BufferedFile>, Error> {
    // As long as gzip's header.
    if archive.len() < 10 {
        return Err(Error::Short(archive.len()));
    }
    if !archive.starts_with(&[0x1f, 0x8b, 8]) {
        return Err(Error::Header);
    }
    let (mut files, mut data) = (Vec::new(), Vec::new());
    let mut remaining = max_size;
    let mut tar = tar::Archive::new(MultiGzDecoder::new(archive).take(max_size + MAX_OVERHEAD));
    for (count, entry) in tar.entries().map_err(Error::Read)?.enumerate() {
        let mut entry = entry.map_err(Error::Read)?;
        if count >= max_entries {
            return Err(Error::TooManyEntries);
        }
        let kind = entry.header().entry_type();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if kind.is_dir() || path.ends_with('/') || kind.is_pax_global_extensions() || kind.is_pax_local_extensions() {
            continue;
        }
        let name = inner_path(&path)?;
        if entry.size() > remaining {
            return Err(Error::TooLarge);
        }
        data.clear();
        entry.read_to_end(&mut data).map_err(Error::Read)?;
        remaining -= data.len() as u64;
        if remaining == 0 {
            return Err(Error::TooLarge);
        }
        let modified = entry.header().mtime().ok().map(|seconds| seconds as i64);
        files.push(BufferedFile { name, modified, data: without_bom(&data).into() });
    }
    if files.is_empty() { Err(Error::Empty) } else { Ok(files) }
}

/// Takes the byte order mark off a file, as Helm does for every file of a chart.
pub fn without_bom(data: &[u8]) -> &[u8] {
    data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data)
}

/// Drops the chart's folder from a path and refuses what leads out of it.
fn inner_path(path: &str) -> Result<String, Error> {
    let delimiter = if path.contains('\\') { '\\' } else { '/' };
    let (base, inner) = path.split_once(delimiter).unwrap_or((path, ""));
    let inner = inner.replace(delimiter, "/");
    if inner.starts_with('/') {
        return Err(Error::AbsolutePath);
    }
    let clean = clean(&inner);
    if clean == "." {
        return Err(Error::OutsideBase(path.to_string()));
    }
    if clean.starts_with("..") {
        return Err(Error::ParentDirectory);
    }
    let bytes = clean.as_bytes();
    if bytes.len() >= 3 && bytes[0].is_ascii_alphabetic() && &bytes[1..3] == b":/" {
        return Err(Error::IllegalName);
    }
    if base == "Chart.yaml" {
        return Err(Error::ChartYamlOutsideBase);
    }
    Ok(clean)
}

/// Go's `path.Clean` for a relative path.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_string() } else { parts.join("/") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    /// Packs files as they are named, legal or not.
    pub fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, data) in files {
            let mut header = tar::Header::new_ustar();
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, *data).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn paths_lose_the_charts_folder_and_files_their_byte_order_mark() {
        let files = read(&pack(&[("p/Chart.yaml", b"\xef\xbb\xbfa"), (r"p\templates\x.yaml", b"b")])).unwrap();
        let read: Vec<_> = files.iter().map(|f| (f.name.as_str(), &f.data[..])).collect();
        assert_eq!(read, [("Chart.yaml", &b"a"[..]), ("templates/x.yaml", b"b")]);
    }

    #[test]
    fn paths_that_lead_out_of_the_chart_are_refused() {
        for (path, expected) in [
            ("p//etc/passwd", "chart illegally contains absolute paths"),
            ("/etc", "chart illegally contains content outside"),
            ("p/../../etc", "chart illegally references parent directory"),
            ("p/..x", "chart illegally references parent directory"),
            ("p", "chart illegally contains content outside the base directory: \"p\""),
            (r"p\c:\x", "chart contains illegally named files"),
            ("Chart.yaml/x", "chart yaml not in base directory"),
        ] {
            let error = read(&pack(&[(path, b"x")])).map(|files| files[0].name.clone());
            match error {
                Err(error) => assert!(error.to_string().starts_with(expected), "{path}: {error}"),
                Ok(name) => assert_eq!((path, name.as_str()), ("/etc", "etc")),
            }
        }
    }

    #[test]
    fn an_archive_is_bounded() {
        assert!(matches!(read(b"plain text, no archive"), Err(Error::Header)));
        assert_eq!(read(b"").unwrap_err().to_string(), "EOF");
        assert_eq!(read(b"short").unwrap_err().to_string(), "unexpected EOF");
        assert!(matches!(read(&pack(&[])), Err(Error::Empty)));
        let files: [(&str, &[u8]); 2] = [("p/a", &[0; 60]), ("p/b", &[0; 60])];
        assert!(read_within(&pack(&files), 121, 2).is_ok());
        assert!(matches!(read_within(&pack(&files), 120, 2), Err(Error::TooLarge)));
        assert!(matches!(read_within(&pack(&files), 119, 2), Err(Error::TooLarge)));
        assert!(matches!(read_within(&pack(&files), 121, 1), Err(Error::TooManyEntries)));
    }
}

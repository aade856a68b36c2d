//! Artifacts on disk, as Flux's source-controller keeps them, and in memory for those who read them here.
//!
//! A file is `<kind>/<namespace>/<name>/<file>` below the root, written aside and renamed into place. The disk is a cache
//! that can be lost: [`ArtifactStore::holds`] says so, and the source is fetched again. Every read is checked against the
//! digest. A source's files are unpacked once for all who use the same digest at the same time, and kept while there is
//! room.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use super::archive::{self, ARTIFACT_LIMITS, ArchiveError, Files, clean_path, hex};
use crate::api::{Artifact, meta};

/// How long a file outlives the artifact that it was.
pub const RETENTION: Duration = Duration::from_mins(1);
/// How many files of one source are kept, the present one included.
pub const RETAINED_RECORDS: usize = 2;
/// The most files of one source that one collection looks at.
const MAX_COLLECTED: usize = 1000;
/// Unpacked bytes that are kept for the next reader.
const KEPT_BYTES: usize = 64 << 20;
/// Where files are written before they are an artifact. No kind starts with a dot.
const SCRATCH: &str = ".scratch";
/// Where bare repositories are kept between fetches.
const REPOSITORIES: &str = ".repositories";

/// Why an artifact was not stored or not read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A path that is not one of an artifact.
    #[error("invalid artifact path '{0}'")]
    Path(String),
    /// The disk refused.
    #[error("failed to {action} '{path}'")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which artifact.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file is not what was stored.
    #[error("computed digest of '{path}' doesn't match '{digest}'")]
    Digest {
        /// The artifact.
        path: String,
        /// Its digest.
        digest: String,
    },
    /// The file is no archive.
    #[error("failed to unpack '{path}'")]
    Unpack {
        /// The artifact.
        path: String,
        /// What is wrong with it.
        #[source]
        source: Arc<ArchiveError>,
    },
}

impl StoreError {
    /// Tells whether the artifact's file is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Whether an artifact's file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there and has the digest.
    Present,
    /// It is not there.
    Missing,
    /// It was there with another digest, and has been removed.
    Corrupt,
}

/// The store. Clones are the same store.
#[derive(Debug, Clone)]
pub struct ArtifactStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    advertised: String,
    scratch: AtomicU64,
    verified: Mutex<HashMap<String, Verified>>,
    unpacked: Mutex<Unpacked>,
}

/// A file whose digest was computed; it is computed again when the file changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verified {
    digest: String,
    size: u64,
    modified: SystemTime,
}

#[derive(Debug, Default)]
struct Unpacked {
    by_digest: HashMap<String, Arc<OnceCell<Files>>>,
    /// Least recently used first.
    order: Vec<String>,
}

impl ArtifactStore {
    /// Opens the store, made if it is missing. `advertised` is the host and port in the artifacts' URLs, or a URL.
    pub fn open(root: &Path, advertised: &str) -> io::Result<Self> {
        let scratch = root.join(SCRATCH);
        match fs::remove_dir_all(&scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => make_folder(&scratch)?,
        }
        make_folder(&root.join(REPOSITORIES))?;
        let root = fs::canonicalize(root)?;
        Ok(Self(Arc::new(Inner {
            root,
            advertised: advertised.trim_end_matches('/').to_owned(),
            scratch: AtomicU64::new(0),
            verified: Mutex::default(),
            unpacked: Mutex::default(),
        })))
    }

    /// Returns the path of an artifact's file below the root.
    pub fn path(kind: &str, namespace: &str, name: &str, file: &str) -> String {
        format!("{}/{namespace}/{name}/{file}", kind.to_ascii_lowercase())
    }

    /// Returns the URL under which a path is served.
    pub fn url(&self, path: &str) -> String {
        let host = &self.0.advertised;
        if host.starts_with("http://") || host.starts_with("https://") {
            return format!("{host}/{path}");
        }
        format!("http://{host}/{path}")
    }

    /// Returns a path on this disk that nobody uses, to write a file that [`Self::adopt`] takes.
    pub fn scratch(&self) -> PathBuf {
        let number = self.0.scratch.fetch_add(1, Ordering::Relaxed);
        self.0.root.join(SCRATCH).join(number.to_string())
    }

    /// Returns where the bare repository of a remote is kept for one object; objects never share one.
    pub fn repository(&self, namespace: &str, name: &str, url: &str) -> PathBuf {
        let key = Sha256::digest(format!("{namespace}/{name}\n{url}").as_bytes());
        self.0.root.join(REPOSITORIES).join(hex(&key))
    }

    /// Makes a finished file an artifact. Its digest and size are those that its maker computed.
    pub async fn adopt(
        &self,
        path: &str,
        revision: &str,
        file: PathBuf,
        written: archive::Written,
        now: Timestamp,
    ) -> Result<Artifact, StoreError> {
        let target = self.local(path)?;
        blocking(move || {
            if let Some(folder) = target.parent() {
                make_folder(folder)?;
            }
            fs::rename(file, target)
        })
        .await
        .map_err(|source| StoreError::Disk { action: "store", path: path.to_owned(), source })?;
        Ok(Artifact {
            digest: written.digest,
            last_update_time: meta::time(now),
            path: path.to_owned(),
            revision: revision.to_owned(),
            size: i64::try_from(written.size).ok(),
            url: self.url(path),
            ..Artifact::default()
        })
    }

    /// Stores bytes as an artifact.
    pub async fn put(
        &self,
        path: &str,
        revision: &str,
        bytes: Vec<u8>,
        now: Timestamp,
    ) -> Result<Artifact, StoreError> {
        let file = self.scratch();
        let (at, shown) = (file.clone(), path.to_owned());
        let written = blocking(move || {
            let written = archive::Written { digest: archive::digest(&bytes), size: bytes.len() as u64 };
            let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at)?;
            out.write_all(&bytes)?;
            Ok(written)
        })
        .await
        .map_err(|source: io::Error| StoreError::Disk { action: "store", path: shown, source })?;
        self.adopt(path, revision, file, written, now).await
    }

    /// Says whether an artifact's file is there and whole. The digest is computed once for each state of the file.
    pub async fn holds(&self, artifact: &Artifact) -> Result<Presence, StoreError> {
        let local = self.local(&artifact.path)?;
        let (store, path, digest) = (self.clone(), artifact.path.clone(), artifact.digest.clone());
        blocking(move || store.check(&local, &path, &digest)).await
    }

    fn check(&self, local: &Path, path: &str, digest: &str) -> Result<Presence, StoreError> {
        let failed = |source| StoreError::Disk { action: "look at", path: path.to_owned(), source };
        let state = match fs::symlink_metadata(local) {
            Ok(state) if state.is_file() => state,
            Ok(_) => return Ok(Presence::Missing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Missing),
            Err(error) => return Err(failed(error)),
        };
        let modified = state.modified().map_err(failed)?;
        let wanted = Verified { digest: digest.to_owned(), size: state.len(), modified };
        if lock(&self.0.verified).get(path) == Some(&wanted) {
            return Ok(Presence::Present);
        }
        if digest_of(local).map_err(failed)? == digest {
            lock(&self.0.verified).insert(path.to_owned(), wanted);
            return Ok(Presence::Present);
        }
        fs::remove_file(local).map_err(failed)?;
        lock(&self.0.verified).remove(path);
        Ok(Presence::Corrupt)
    }

    /// Reads an artifact's file and checks its digest.
    pub async fn bytes(&self, artifact: &Artifact) -> Result<Vec<u8>, StoreError> {
        let local = self.local(&artifact.path)?;
        let (path, digest) = (artifact.path.clone(), artifact.digest.clone());
        blocking(move || {
            let bytes =
                fs::read(local).map_err(|source| StoreError::Disk { action: "read", path: path.clone(), source })?;
            if archive::digest(&bytes) != digest {
                return Err(StoreError::Digest { path, digest });
            }
            Ok(bytes)
        })
        .await
    }

    /// Unpacks an artifact that is a `tar.gz`, or returns what another reader unpacked.
    pub async fn files(&self, artifact: &Artifact) -> Result<Files, StoreError> {
        let cell = lock(&self.0.unpacked).cell(&artifact.digest);
        let files = cell
            .get_or_try_init(|| async {
                let bytes = self.bytes(artifact).await?;
                let path = artifact.path.clone();
                blocking(move || Files::from_tar_gz(&bytes, ARTIFACT_LIMITS))
                    .await
                    .map_err(|source| StoreError::Unpack { path, source: Arc::new(source) })
            })
            .await?
            .clone();
        lock(&self.0.unpacked).shrink(&artifact.digest, KEPT_BYTES);
        Ok(files)
    }

    /// Points `link` beside an artifact to its file and returns the link's URL.
    pub async fn link(&self, artifact: &Artifact, link: &str) -> Result<String, StoreError> {
        let target = self.local(&artifact.path)?;
        let aside = self.scratch();
        let at = target.with_file_name(link);
        let path = artifact.path.clone();
        blocking(move || {
            let name = target.file_name().unwrap_or_default();
            std::os::unix::fs::symlink(name, &aside)?;
            fs::rename(&aside, at)
        })
        .await
        .map_err(|source| StoreError::Disk { action: "link", path, source })?;
        let folder = artifact.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Ok(self.url(&format!("{folder}/{link}")))
    }

    /// Removes old files of an artifact's source, and returns how many.
    pub async fn collect(&self, artifact: &Artifact) -> Result<usize, StoreError> {
        let local = self.local(&artifact.path)?;
        let path = artifact.path.clone();
        let store = self.clone();
        blocking(move || {
            let folder = local.parent().unwrap_or(&local).to_owned();
            let files = list(&folder)?;
            let old = garbage(&files, &local, SystemTime::now(), RETENTION, RETAINED_RECORDS);
            for file in &old {
                fs::remove_file(file)?;
                if let Ok(relative) = file.strip_prefix(&store.0.root) {
                    lock(&store.0.verified).remove(relative.to_string_lossy().as_ref());
                }
            }
            Ok(old.len())
        })
        .await
        .map_err(|source| StoreError::Disk { action: "collect", path, source })
    }

    /// Removes all that is kept of a source.
    pub async fn remove_all(&self, kind: &str, namespace: &str, name: &str) -> Result<(), StoreError> {
        let path = Self::path(kind, namespace, name, "");
        let local = self.local(&path)?;
        let prefix = path.clone();
        lock(&self.0.verified).retain(|path, _| !path.starts_with(&prefix));
        match blocking(move || fs::remove_dir_all(local)).await {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Disk { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Returns namespace and name of each source of a kind for which something is kept.
    pub async fn sources(&self, kind: &str) -> Vec<(String, String)> {
        let folder = self.0.root.join(kind.to_ascii_lowercase());
        blocking(move || {
            let namespaces = folders(&folder).into_iter();
            namespaces
                .flat_map(|namespace| {
                    let names = folders(&folder.join(&namespace)).into_iter();
                    names.map(move |name| (namespace.clone(), name))
                })
                .collect()
        })
        .await
    }

    /// Removes the bare repository that was kept for an object.
    pub async fn remove_repository(&self, namespace: &str, name: &str, url: &str) {
        let path = self.repository(namespace, name, url);
        // A cache; what stays of it is dropped with the disk.
        let _ = blocking(move || fs::remove_dir_all(path)).await;
    }

    /// Returns where a served path leads on disk; links are followed within the root and nowhere else.
    pub(super) fn served(&self, path: &str) -> Option<PathBuf> {
        let real = fs::canonicalize(self.local(path).ok()?).ok()?;
        (real.starts_with(&self.0.root) && real.is_file()).then_some(real)
    }

    fn local(&self, path: &str) -> Result<PathBuf, StoreError> {
        match clean_path(path) {
            Some(clean) if !clean.is_empty() && !clean.starts_with('.') => Ok(self.0.root.join(clean)),
            _ => Err(StoreError::Path(path.to_owned())),
        }
    }
}

impl Unpacked {
    fn cell(&mut self, digest: &str) -> Arc<OnceCell<Files>> {
        self.order.retain(|other| other != digest);
        self.order.push(digest.to_owned());
        self.by_digest.entry(digest.to_owned()).or_default().clone()
    }

    /// Lets go of what was used least recently until the rest fits; the newest stays, whatever its size.
    fn shrink(&mut self, newest: &str, limit: usize) {
        let size = |cell: &Arc<OnceCell<Files>>| cell.get().map_or(0, Files::held_bytes);
        let mut held: usize = self.by_digest.values().map(size).sum();
        while held > limit {
            let Some(at) = self.order.iter().position(|digest| digest != newest) else { return };
            let digest = self.order.remove(at);
            if let Some(cell) = self.by_digest.remove(&digest) {
                held -= size(&cell);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs what blocks on the pool for that; a panic there goes on here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(format!("sha256:{}", hex(&hash.finalize()))),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn list(folder: &Path) -> io::Result<Vec<(PathBuf, SystemTime)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)?.take(MAX_COLLECTED) {
        let entry = entry?;
        let state = entry.metadata()?;
        if state.is_file() && entry.path().extension().is_none_or(|extension| extension != "lock") {
            files.push((entry.path(), state.modified()?));
        }
    }
    Ok(files)
}

/// The names of the folders in a folder; none where that is not there.
fn folders(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// Chooses the files to remove: those older than `ttl`, and if more than `records` stay, the oldest of the rest. The
/// present file stays whatever its age.
fn garbage(
    files: &[(PathBuf, SystemTime)],
    present: &Path,
    now: SystemTime,
    ttl: Duration,
    records: usize,
) -> Vec<PathBuf> {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by_key(|(_, modified)| *modified);
    let expired = |modified: &SystemTime| now.duration_since(*modified).is_ok_and(|age| age > ttl);
    let (mut old, mut rest): (Vec<PathBuf>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for (path, modified) in sorted {
        if path != present && expired(modified) { old.push(path.clone()) } else { rest.push(path.clone()) }
    }
    let surplus = rest.len().saturating_sub(records);
    old.extend(rest.into_iter().filter(|path| path != present).take(surplus));
    old
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::archive::ArchiveWriter;

    fn store() -> (tempfile::TempDir, ArtifactStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(folder.path(), "source.flux-system").unwrap();
        (folder, store)
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Vec::new()).unwrap();
        writer.file("a.yaml", false, text.as_bytes()).unwrap();
        writer.finish().unwrap().0
    }

    async fn stored(store: &ArtifactStore, file: &str, text: &str) -> Artifact {
        let path = ArtifactStore::path("GitRepository", "ns", "app", file);
        store.put(&path, "main@sha1:abc", packed(text), Timestamp::UNIX_EPOCH).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_stored_is_found_where_flux_puts_it() {
        let (folder, store) = store();
        let artifact = stored(&store, "abc.tar.gz", "a: 1").await;
        assert_eq!(artifact.path, "gitrepository/ns/app/abc.tar.gz");
        assert_eq!(artifact.url, "http://source.flux-system/gitrepository/ns/app/abc.tar.gz");
        let bytes = fs::read(folder.path().join(&artifact.path)).unwrap();
        assert_eq!(artifact.digest, archive::digest(&bytes));
        assert_eq!(artifact.size, Some(bytes.len() as i64));
        assert_eq!(store.bytes(&artifact).await.unwrap(), bytes);
        assert_eq!(store.files(&artifact).await.unwrap().get("a.yaml").unwrap().bytes, b"a: 1");
        let with_scheme = ArtifactStore::open(folder.path(), "https://artifacts.example.com").unwrap();
        assert_eq!(with_scheme.url("a"), "https://artifacts.example.com/a");
    }

    #[tokio::test]
    async fn a_lost_or_changed_file_is_noticed() {
        let (folder, store) = store();
        let artifact = stored(&store, "abc.tar.gz", "a: 1").await;
        assert_eq!(store.holds(&artifact).await.unwrap(), Presence::Present);
        fs::write(folder.path().join(&artifact.path), "changed").unwrap();
        assert!(matches!(store.bytes(&artifact).await, Err(StoreError::Digest { .. })));
        assert_eq!(store.holds(&artifact).await.unwrap(), Presence::Corrupt);
        assert_eq!(store.holds(&artifact).await.unwrap(), Presence::Missing);
    }

    #[tokio::test]
    async fn paths_that_leave_the_root_are_refused() {
        let (_folder, store) = store();
        for path in ["../x", "/etc/passwd", "", ".scratch/0", "a/../../b"] {
            let artifact = Artifact { path: path.to_owned(), ..Artifact::default() };
            assert!(matches!(store.bytes(&artifact).await, Err(StoreError::Path(_))), "{path}");
        }
    }

    #[tokio::test]
    async fn files_are_unpacked_once_for_all() {
        let (folder, store) = store();
        let artifact = stored(&store, "abc.tar.gz", "a: 1").await;
        store.files(&artifact).await.unwrap();
        fs::remove_file(folder.path().join(&artifact.path)).unwrap();
        assert_eq!(store.files(&artifact).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn unpacked_files_are_let_go_when_they_are_too_many() {
        let (_folder, store) = store();
        let mut digests = Vec::new();
        for number in 1..=3 {
            let artifact = stored(&store, &format!("{number}.tar.gz"), &"x".repeat(1000 + number)).await;
            store.files(&artifact).await.unwrap();
            digests.push(artifact.digest);
        }
        let mut unpacked = lock(&store.0.unpacked);
        unpacked.cell(&digests[0]);
        unpacked.shrink(&digests[0], 8000);
        assert_eq!(unpacked.order, [digests[2].clone(), digests[0].clone()]);
        unpacked.shrink(&digests[0], 0);
        assert_eq!(unpacked.order, [digests[0].clone()], "the newest stays");
    }

    #[tokio::test]
    async fn the_link_moves_with_the_artifact() {
        let (folder, store) = store();
        for file in ["1.tar.gz", "2.tar.gz"] {
            let artifact = stored(&store, file, file).await;
            let url = store.link(&artifact, "latest.tar.gz").await.unwrap();
            assert_eq!(url, "http://source.flux-system/gitrepository/ns/app/latest.tar.gz");
            let link = fs::read_link(folder.path().join("gitrepository/ns/app/latest.tar.gz")).unwrap();
            assert_eq!(link, Path::new(file));
        }
    }

    #[tokio::test]
    async fn the_files_of_a_deleted_source_go() {
        let (folder, store) = store();
        stored(&store, "1.tar.gz", "a").await;
        store.remove_all("GitRepository", "ns", "app").await.unwrap();
        assert!(!folder.path().join("gitrepository/ns/app").exists());
        store.remove_all("GitRepository", "ns", "app").await.unwrap();
    }

    #[tokio::test]
    async fn old_files_are_collected_and_the_present_stays() {
        let (folder, store) = store();
        for file in ["1.tar.gz", "2.tar.gz", "3.tar.gz"] {
            stored(&store, file, file).await;
        }
        let present = stored(&store, "4.tar.gz", "4").await;
        assert_eq!(store.collect(&present).await.unwrap(), 2);
        assert_eq!(fs::read_dir(folder.path().join("gitrepository/ns/app")).unwrap().count(), 2);
        assert_eq!(store.holds(&present).await.unwrap(), Presence::Present);
    }

    #[test]
    fn garbage_is_what_is_too_old_or_too_much() {
        let second = |s: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(s);
        let files = |count: u32, step: f64| -> Vec<(PathBuf, SystemTime)> {
            (1..=count).map(|n| (PathBuf::from(format!("artifact{n}")), second(f64::from(n) * step))).collect()
        };
        let names = |paths: Vec<PathBuf>| paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" ");
        let present = Path::new("artifact6");
        let table = [
            (files(5, 1.0), Path::new("artifact5"), 5.0, 120.0, 2, "artifact1 artifact2 artifact3"),
            (files(6, 1.0), present, 6.0, 5.5, 4, "artifact1 artifact2"),
            (files(6, 1.0), present, 100.0, 5.0, 2, "artifact1 artifact2 artifact3 artifact4 artifact5"),
            (files(2, 1.0), Path::new("artifact1"), 3.0, 60.0, 1, "artifact2"),
            (files(1, 1.0), Path::new("artifact1"), 100.0, 5.0, 2, ""),
        ];
        for (files, present, now, ttl, records, expected) in table {
            let old = garbage(&files, present, second(now), Duration::from_secs_f64(ttl), records);
            assert_eq!(names(old), expected);
        }
    }
}

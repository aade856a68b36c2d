//! Resolves symbolic links as Go's `filepath.EvalSymlinks` does, whose errors name the part of the way that is lost.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many links one path may lead through.
pub const MAX_LINKS: usize = 255;

/// Why a path leads nowhere; the texts are Go's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("lstat {}: {}", .path.display(), super::folder::system_text(.source))]
    Lost { path: PathBuf, source: io::Error },
    #[error("not a directory")]
    NotFolder,
    #[error("EvalSymlinks: too many links")]
    TooManyLinks,
}

/// Follows every link in an absolute path.
pub fn resolve(path: &Path) -> Result<PathBuf, Error> {
    let mut resolved = PathBuf::from("/");
    let mut ahead: VecDeque<OsString> = parts(path).collect();
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        let lost = |source| Error::Lost { path: next.clone(), source };
        let metadata = std::fs::symlink_metadata(&next).map_err(lost)?;
        if metadata.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::TooManyLinks);
            }
            let target = std::fs::read_link(&next).map_err(lost)?;
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            }
            parts(&target).rev().for_each(|part| ahead.push_front(part));
        } else if !metadata.is_dir() && !ahead.is_empty() {
            return Err(Error::NotFolder);
        } else {
            resolved = next;
        }
    }
    Ok(resolved)
}

/// The names in a path, `..` among them.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_through_links_is_resolved_or_says_where_it_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/file"), "").unwrap();
        let absolute = root.join("a");
        for (link, target) in [
            ("up", Path::new("a/b/../file")),
            ("absolute", absolute.as_path()),
            ("lost", Path::new("a/../none/deeper")),
            ("through", Path::new("a/file/deeper")),
            ("loop", Path::new("loop")),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        let resolved = |name: &str| resolve(&root.join(name)).map_err(|error| error.to_string());
        assert_eq!(resolved("up"), Ok(root.join("a/file")));
        assert_eq!(resolved("absolute/b"), Ok(root.join("a/b")));
        let lost = format!("lstat {}: no such file or directory", root.join("none").display());
        assert_eq!(resolved("lost"), Err(lost));
        assert_eq!(resolved("through"), Err("not a directory".to_string()));
        assert_eq!(resolved("loop"), Err("EvalSymlinks: too many links".to_string()));
    }
}

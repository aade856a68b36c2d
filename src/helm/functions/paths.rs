//! Paths with slashes. The `os` twins are the same on Linux.

use super::arguments::text;
use super::{Function, Type};

const STR: Type = Type::String;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("base", &[STR], |_, a| Ok(base(text(a, 0)).to_vec().into())),
    Function::new("osBase", &[STR], |_, a| Ok(base(text(a, 0)).to_vec().into())),
    Function::new("dir", &[STR], |_, a| Ok(dir(text(a, 0)).into())),
    Function::new("osDir", &[STR], |_, a| Ok(dir(text(a, 0)).into())),
    Function::new("clean", &[STR], |_, a| Ok(clean(text(a, 0)).into())),
    Function::new("osClean", &[STR], |_, a| Ok(clean(text(a, 0)).into())),
    Function::new("ext", &[STR], |_, a| Ok(ext(text(a, 0)).to_vec().into())),
    Function::new("osExt", &[STR], |_, a| Ok(ext(text(a, 0)).to_vec().into())),
    Function::new("isAbs", &[STR], |_, a| Ok(text(a, 0).starts_with(b"/").into())),
    Function::new("osIsAbs", &[STR], |_, a| Ok(text(a, 0).starts_with(b"/").into())),
];

fn base(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let end = path.iter().rposition(|c| *c != b'/').map_or(0, |at| at + 1);
    match &path[..end] {
        [] => b"/",
        path => path.rsplit(|c| *c == b'/').next().unwrap_or(path),
    }
}

fn dir(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|c| *c == b'/').map_or(0, |at| at + 1);
    clean(&path[..end])
}

/// Shortens a path by its text alone: no empty parts, no `.`, and `..` only at the front of a relative one.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|c| *c == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            b".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

fn ext(path: &[u8]) -> &[u8] {
    let name = path.iter().rposition(|c| *c == b'/').map_or(path, |at| &path[at + 1..]);
    name.iter().rposition(|c| *c == b'.').map_or(b"", |at| &name[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_as_in_go() {
        for (path, want_base, want_dir, want_clean, want_ext) in [
            ("", ".", ".", ".", ""),
            ("/", "/", "/", "/", ""),
            ("a/b.c", "b.c", "a", "a/b.c", ".c"),
            ("a//../../b/", "b", "../b", "../b", ""),
            ("/../a/.", ".", "/a", "/a", "."),
            ("a.tar.gz", "a.tar.gz", ".", "a.tar.gz", ".gz"),
            ("///", "/", "/", "/", ""),
        ] {
            let path = path.as_bytes();
            assert_eq!(base(path), want_base.as_bytes());
            assert_eq!(dir(path), want_dir.as_bytes());
            assert_eq!(clean(path), want_clean.as_bytes());
            assert_eq!(ext(path), want_ext.as_bytes());
        }
    }
}

//! `.sourceignore` and `spec.ignore`: which files of a source are left out of its artifact.
//!
//! The syntax is gitignore's as go-git reads it, which is what Flux uses: every pattern is tried against every path
//! from the last pattern to the first, the first that matches decides, and a pattern that names a folder also matches
//! all that is below it. Unlike in git itself, `!` can bring back a file below an ignored folder.

use std::collections::BTreeMap;

/// The name of the files that hold patterns.
pub const IGNORE_FILE: &str = ".sourceignore";

/// Files of version control, always left out.
const VERSION_CONTROL: &[&str] = &[".git/", ".gitignore", ".gitmodules", ".gitattributes"];

/// Left out unless the source brings patterns of its own.
const DEFAULTS: &[&str] = &[
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.png",
    "*.wmv",
    "*.flv",
    "*.tar.gz",
    "*.zip",
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    "**/.goreleaser.yml",
    "**/.sops.yaml",
    "**/.flux.yaml",
];

/// Patterns beyond this number are refused: each is tried against each path.
pub const MAX_PATTERNS: usize = 10_000;

/// A source brings more patterns than are tried.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_PATTERNS} ignore patterns")]
pub struct TooManyPatterns;

/// Decides for each path of a source whether it is left out.
#[derive(Debug)]
pub struct Matcher {
    patterns: Vec<Pattern>,
}

impl Matcher {
    /// Makes the matcher of a source from its ignore files (folder of the file, content) and `spec.ignore`.
    ///
    /// Folders are paths with `/`, the root is the empty string. The files count in the order of their folders, deeper
    /// ones after their parents; `spec.ignore` counts last and so wins. Any pattern of the source's own replaces the
    /// defaults.
    pub fn new(files: &BTreeMap<String, String>, spec_ignore: Option<&str>) -> Result<Self, TooManyPatterns> {
        let mut folders: Vec<(Vec<&str>, &str)> =
            files.iter().map(|(folder, text)| (components(folder), text.as_str())).collect();
        folders.sort();
        let mut own = Vec::new();
        for (folder, text) in folders {
            read_patterns(text, &folder, &mut own)?;
        }
        if let Some(text) = spec_ignore {
            read_patterns(text, &[], &mut own)?;
        }
        let built_in = if own.is_empty() { DEFAULTS } else { &[] };
        let mut patterns: Vec<Pattern> =
            VERSION_CONTROL.iter().chain(built_in).map(|line| Pattern::parse(line, &[])).collect();
        patterns.append(&mut own);
        Ok(Self { patterns })
    }

    /// True when the file or folder at `path` (components from the root) is left out.
    pub fn is_ignored(&self, path: &[&str], is_dir: bool) -> bool {
        self.patterns
            .iter()
            .rev()
            .find(|pattern| pattern.matches(path, is_dir))
            .is_some_and(|pattern| !pattern.inclusion)
    }
}

fn components(folder: &str) -> Vec<&str> {
    folder.split('/').filter(|part| !part.is_empty()).collect()
}

fn read_patterns(text: &str, folder: &[&str], into: &mut Vec<Pattern>) -> Result<(), TooManyPatterns> {
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if into.len() >= MAX_PATTERNS {
            return Err(TooManyPatterns);
        }
        into.push(Pattern::parse(line, folder));
    }
    Ok(())
}

#[derive(Debug)]
struct Pattern {
    /// The folder that the pattern is relative to.
    domain: Vec<String>,
    parts: Vec<Part>,
    inclusion: bool,
    dir_only: bool,
    /// Has a slash that is not the last character, and so is tried against the whole path.
    anchored: bool,
}

#[derive(Debug)]
enum Part {
    Empty,
    AnyDepth,
    /// Contains `**` beside other characters, which matches nothing.
    Never,
    Glob(Option<Glob>),
}

impl Pattern {
    fn parse(line: &str, domain: &[&str]) -> Self {
        let (inclusion, mut text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        if !text.ends_with("\\ ") {
            text = text.trim_end_matches(' ');
        }
        let dir_only = text.ends_with('/');
        if dir_only {
            text = &text[..text.len() - 1];
        }
        let parts = text
            .split('/')
            .map(|part| match part {
                "" => Part::Empty,
                "**" => Part::AnyDepth,
                _ if part.contains("**") && text.contains('/') => Part::Never,
                _ => Part::Glob(Glob::parse(part)),
            })
            .collect();
        let domain = domain.iter().map(|part| (*part).to_owned()).collect();
        Self { domain, parts, inclusion, dir_only, anchored: text.contains('/') }
    }

    fn matches(&self, path: &[&str], is_dir: bool) -> bool {
        if path.len() <= self.domain.len() || !self.domain.iter().zip(path).all(|(own, part)| own == part) {
            return false;
        }
        let path = &path[self.domain.len()..];
        if self.anchored { self.matches_path(path, is_dir) } else { self.matches_name(path, is_dir) }
    }

    /// A pattern without a slash matches any component; a match above the last one is a folder.
    fn matches_name(&self, path: &[&str], is_dir: bool) -> bool {
        let Some(index) = path.iter().position(|name| match self.parts.first() {
            Some(Part::AnyDepth) => true,
            Some(part) => part.matches(name),
            None => false,
        }) else {
            return false;
        };
        !self.dir_only || is_dir || index + 1 < path.len()
    }

    fn matches_path(&self, mut path: &[&str], is_dir: bool) -> bool {
        let mut matched = false;
        let mut any_depth = false;
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Empty => any_depth = false,
                Part::AnyDepth if index + 1 == self.parts.len() => break,
                Part::AnyDepth => any_depth = true,
                Part::Never => return false,
                Part::Glob(_) if path.is_empty() => return false,
                Part::Glob(_) if any_depth => {
                    any_depth = false;
                    let found = path.iter().position(|name| part.matches(name));
                    matched = found.is_some();
                    path = found.map_or(&[][..], |at| &path[at + 1..]);
                }
                Part::Glob(_) => {
                    if !part.matches(path[0]) {
                        return false;
                    }
                    matched = true;
                    path = &path[1..];
                }
            }
        }
        matched && !(self.dir_only && !is_dir && path.is_empty())
    }
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        matches!(self, Self::Glob(Some(glob)) if glob.matches(name))
    }
}

/// One path component as Go's `filepath.Match` reads it.
#[derive(Debug)]
struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug)]
enum Token {
    Star,
    Any,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Returns none for a malformed pattern, which matches nothing.
    fn parse(text: &str) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(next) = chars.next() {
            tokens.push(match next {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => Token::Char(chars.next()?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.peek() != Some(&']') {
                        let low = class_char(&mut chars)?;
                        let high = if chars.next_if_eq(&'-').is_some() { class_char(&mut chars)? } else { low };
                        ranges.push((low, high));
                    }
                    chars.next();
                    Token::Class { negated, ranges }
                }
                other => Token::Char(other),
            });
        }
        Some(Self { tokens })
    }

    fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut token, mut at) = (0, 0);
        // Where to take up again when what follows the last star does not fit: its token, and the next start.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let fits = match self.tokens.get(token) {
                Some(Token::Star) => {
                    retry = Some((token, at + 1));
                    token += 1;
                    continue;
                }
                Some(other) => name.get(at).is_some_and(|&c| other.matches(c)),
                None if at == name.len() => return true,
                None => false,
            };
            if fits {
                token += 1;
                at += 1;
                continue;
            }
            match retry {
                Some((star, start)) if start <= name.len() => {
                    token = star + 1;
                    at = start;
                    retry = Some((star, start + 1));
                }
                _ => return false,
            }
        }
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        other => Some(other),
    }
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => true,
            Self::Char(own) => *own == c,
            Self::Class { negated, ranges } => ranges.iter().any(|&(low, high)| low <= c && c <= high) != *negated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(files: &[(&str, &str)], spec: Option<&str>) -> Matcher {
        let files = files.iter().map(|(folder, text)| ((*folder).to_owned(), (*text).to_owned())).collect();
        Matcher::new(&files, spec).unwrap()
    }

    fn ignored(matcher: &Matcher, path: &str) -> bool {
        let is_dir = path.ends_with('/');
        matcher.is_ignored(&components(path), is_dir)
    }

    #[test]
    fn defaults_hold_without_own_patterns() {
        let m = matcher(&[], None);
        for path in [
            "image.jpg",
            "archive.tar.gz",
            ".github/workflows/workflow.yaml",
            "subdir/.flux.yaml",
            "subdir2/.sops.yaml",
            ".git/config",
            "a/.gitignore",
        ] {
            assert!(ignored(&m, path), "{path}");
        }
        for path in ["workload.yaml", "workload.yml", "simple.txt", "a/b/c.yaml"] {
            assert!(!ignored(&m, path), "{path}");
        }
    }

    #[test]
    fn own_patterns_replace_the_defaults_but_not_version_control() {
        let m = matcher(&[], Some("!**.txt\n"));
        assert!(!ignored(&m, "a.txt"));
        assert!(!ignored(&m, "image.jpg"));
        assert!(ignored(&m, ".gitignore"));
    }

    #[test]
    fn patterns_count_relative_to_their_folder_and_the_last_decides() {
        let m = matcher(&[("", "root.txt"), ("a/b", "/subdir.txt\nx/"), ("z", "last.txt")], Some("!keep/root.txt"));
        let table = [
            ("root.txt", true),
            ("d/root.txt", true),
            ("keep/root.txt", false),
            ("a/b/subdir.txt", true),
            ("a/b/c/subdir.txt", false),
            ("a/c/subdir.txt", false),
            ("e/last.txt", false),
            ("z/last.txt", true),
            ("a/b/x/file", true),
            ("a/b/x", false),
            ("a/b/x/", true),
        ];
        for (path, expected) in table {
            assert_eq!(ignored(&m, path), expected, "{path}");
        }
    }

    #[test]
    fn globs_follow_go() {
        let table = [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "jpg", false),
            ("[a-c]?", "b1", true),
            ("[^a-c]?", "b1", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("[a", "a", false),
            ("*", "", true),
            ("**", "anything", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(Glob::parse(pattern).is_some_and(|glob| glob.matches(name)), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn slashes_anchor_and_double_stars_cross_folders() {
        let m = matcher(&[], Some("/only-root\nfoo/**/bar\ndocs/*.md\n**/deep/x\nall/**\n"));
        let table = [
            ("only-root", true),
            ("a/only-root", false),
            ("foo/bar", true),
            ("foo/a/b/bar", true),
            ("docs/a.md", true),
            ("docs/a/b.md", false),
            ("p/q/deep/x", true),
            ("all/a", true),
        ];
        for (path, expected) in table {
            assert_eq!(ignored(&m, path), expected, "{path}");
        }
    }

    #[test]
    fn comments_hide_an_exception() {
        let m = matcher(&[], Some("ignore-dir/*\n# !ignore-dir/include\n"));
        assert!(ignored(&m, "ignore-dir/file.yaml"));
        assert!(ignored(&m, "ignore-dir/include"));
    }

    #[test]
    fn too_many_patterns_are_refused() {
        let text = "x\n".repeat(MAX_PATTERNS + 1);
        assert!(Matcher::new(&BTreeMap::new(), Some(&text)).is_err());
    }
}

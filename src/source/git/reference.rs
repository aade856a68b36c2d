//! What of a remote is wanted, and which of its references that is.

use helm::semver::{Constraints, Version};
use serde::{Deserialize, Serialize};

use crate::source::version::three_part_version;

/// The branch of a GitRepository without `ref`; not the remote's HEAD.
const DEFAULT_BRANCH: &str = "master";
/// What a listing appends to an annotated tag's name to give the commit it points to.
const PEELED: &str = "^{}";

/// `spec.ref` of a GitRepository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// A branch.
    pub branch: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// A range over the tags.
    pub semver: Option<String>,
    /// A full reference name.
    pub name: Option<String>,
    /// A commit, which may be together with a branch.
    pub commit: Option<String>,
}

/// The one field of a reference that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// A commit; looked for in the branch if there is one, else in all branches and tags.
    Commit {
        /// The hash.
        commit: &'a str,
        /// Where it must be.
        branch: Option<&'a str>,
    },
    /// A full reference name.
    Name(&'a str),
    /// A tag.
    Tag(&'a str),
    /// A range.
    Semver(&'a str),
    /// A branch.
    Branch(&'a str),
}

/// A reference that the remote names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// The full name; annotated tags are there twice, the second time with `^{}`.
    pub name: String,
    /// The object, in hex.
    pub oid: String,
}

/// A reference that answers what is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The full name, as it is fetched.
    pub name: String,
    /// The commit.
    pub commit: String,
}

/// Why nothing is wanted that the remote has.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReferenceError {
    /// The remote does not have it.
    #[error("couldn't find remote ref \"{name}\"")]
    NotFound {
        /// The full name.
        name: String,
    },
    /// `ref.name` is not there.
    #[error("unable to resolve ref '{name}' to a specific commit")]
    Unresolved {
        /// The full name.
        name: String,
    },
    /// The range cannot be read.
    #[error("semver parse error: {0}")]
    Range(String),
    /// No tag is in the range.
    #[error("no match found for semver: {0}")]
    NoMatch(String),
    /// It is no name of a reference, or no hash of a commit.
    #[error("invalid reference '{0}'")]
    Invalid(String),
}

impl Reference {
    /// Returns the field that counts: commit, name, tag, semver, branch, in this order.
    ///
    /// Flux's documentation gives semver precedence over tag, its checkout does the opposite; what it does counts here.
    pub fn wanted(&self) -> Wanted<'_> {
        fn set(field: Option<&String>) -> Option<&str> {
            field.map(String::as_str).filter(|text| !text.is_empty())
        }
        let branch = set(self.branch.as_ref());
        if let Some(commit) = set(self.commit.as_ref()) {
            return Wanted::Commit { commit, branch };
        }
        set(self.name.as_ref())
            .map(Wanted::Name)
            .or_else(|| set(self.tag.as_ref()).map(Wanted::Tag))
            .or_else(|| set(self.semver.as_ref()).map(Wanted::Semver))
            .unwrap_or(Wanted::Branch(branch.unwrap_or(DEFAULT_BRANCH)))
    }

    /// Writes the revision of a commit that `found` (a full name, if any) led to: `main@sha1:…`, `v1.0.0@sha1:…`,
    /// `refs/pull/1/head@sha1:…` with `ref.name`, and `sha1:…` for a commit alone.
    pub fn revision(&self, found: Option<&str>, commit: &str) -> String {
        let digest = format!("sha1:{commit}");
        if let Some(name) = self.name.as_deref().filter(|name| !name.is_empty()) {
            return format!("{name}@{digest}");
        }
        match found.and_then(|name| name.splitn(3, '/').nth(2)) {
            Some(short) => format!("{short}@{digest}"),
            None => digest,
        }
    }
}

impl Wanted<'_> {
    /// Finds what is wanted among what the remote has. Several for a range whose best tags have equal precedence (build
    /// metadata does not count): the one with the newest commit is meant. A commit is not looked for here.
    pub fn find(&self, remote: &[Advertised]) -> Result<Vec<Found>, ReferenceError> {
        match self {
            Self::Commit { .. } => Ok(Vec::new()),
            Self::Branch(branch) => Ok(vec![named(remote, &format!("refs/heads/{branch}"))?]),
            Self::Tag(tag) => Ok(vec![named(remote, &format!("refs/tags/{tag}"))?]),
            Self::Name(name) => match named(remote, name) {
                Err(ReferenceError::NotFound { name }) => Err(ReferenceError::Unresolved { name }),
                found => Ok(vec![found?]),
            },
            Self::Semver(range) => best_tags(remote, range),
        }
    }
}

/// True for a full hash of a commit in lower-case hex.
pub fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn named(remote: &[Advertised], name: &str) -> Result<Found, ReferenceError> {
    let plain = name.strip_suffix(PEELED).unwrap_or(name);
    if !git2::Reference::is_valid_name(plain) || !plain.starts_with("refs/") && plain != "HEAD" {
        return Err(ReferenceError::Invalid(name.to_owned()));
    }
    let peeled = format!("{plain}{PEELED}");
    let at = |name: &str| remote.iter().find(|reference| reference.name == name);
    match at(&peeled).or_else(|| at(plain)) {
        Some(reference) => Ok(Found { name: plain.to_owned(), commit: reference.oid.clone() }),
        None => Err(ReferenceError::NotFound { name: name.to_owned() }),
    }
}

fn best_tags(remote: &[Advertised], range: &str) -> Result<Vec<Found>, ReferenceError> {
    let constraints = Constraints::parse(range).map_err(|error| ReferenceError::Range(error.to_string()))?;
    let mut best: Vec<(Version, &str)> = Vec::new();
    let tags = remote.iter().filter(|reference| !reference.name.ends_with(PEELED));
    for tag in tags.filter_map(|reference| reference.name.strip_prefix("refs/tags/")) {
        let Some(version) = three_part_version(tag).filter(|version| constraints.check(version)) else { continue };
        match best.first().map_or(std::cmp::Ordering::Greater, |(top, _)| version.cmp(top)) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => best.push((version, tag)),
            std::cmp::Ordering::Greater => best = vec![(version, tag)],
        }
    }
    if best.is_empty() {
        return Err(ReferenceError::NoMatch(range.to_owned()));
    }
    best.sort_by_key(|(_, tag)| *tag);
    best.iter().map(|(_, tag)| named(remote, &format!("refs/tags/{tag}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    fn remote() -> Vec<Advertised> {
        [
            ("refs/heads/master", 1),
            ("refs/heads/staging", 2),
            ("refs/heads/feature/x", 3),
            ("refs/pull/420/head", 4),
            ("refs/tags/non-semver-tag", 5),
            ("refs/tags/v0.1.0", 6),
            ("refs/tags/0.2.0", 7),
            ("refs/tags/v0.2.1", 8),
            ("refs/tags/v0.2.1^{}", 9),
            ("refs/tags/v1.0.0-alpha", 10),
            ("refs/tags/v1.1.0", 11),
            ("refs/tags/v2.0.0+a", 12),
            ("refs/tags/v2.0.0+b", 13),
        ]
        .map(|(name, number)| Advertised { name: name.to_owned(), oid: format!("{number:040}") })
        .to_vec()
    }

    fn names(reference: &Reference) -> Result<Vec<String>, ReferenceError> {
        let found = reference.wanted().find(&remote())?;
        Ok(found.iter().map(|found| reference.revision(Some(&found.name), &found.commit)).collect())
    }

    fn reference(set: impl FnOnce(&mut Reference)) -> Reference {
        let mut reference = Reference::default();
        set(&mut reference);
        reference
    }

    #[test]
    fn the_fields_count_in_order() {
        let mut all = Reference {
            branch: Some("b".into()),
            tag: Some("t".into()),
            semver: Some("*".into()),
            name: Some("refs/heads/x".into()),
            commit: Some(COMMIT.into()),
        };
        assert_eq!(all.wanted(), Wanted::Commit { commit: COMMIT, branch: Some("b") });
        all.commit = None;
        assert_eq!(all.wanted(), Wanted::Name("refs/heads/x"));
        all.name = Some(String::new());
        assert_eq!(all.wanted(), Wanted::Tag("t"));
        all.tag = None;
        assert_eq!(all.wanted(), Wanted::Semver("*"));
        all.semver = None;
        assert_eq!(all.wanted(), Wanted::Branch("b"));
        all.branch = None;
        assert_eq!(all.wanted(), Wanted::Branch("master"));
    }

    #[test]
    fn revisions_are_those_of_flux() {
        let table = [
            (Reference::default(), "master@sha1:0000000000000000000000000000000000000001"),
            (reference(|r| r.branch = Some("staging".into())), "staging@sha1:0000000000000000000000000000000000000002"),
            (
                reference(|r| r.branch = Some("feature/x".into())),
                "feature/x@sha1:0000000000000000000000000000000000000003",
            ),
            (
                reference(|r| r.name = Some("refs/pull/420/head".into())),
                "refs/pull/420/head@sha1:0000000000000000000000000000000000000004",
            ),
            (reference(|r| r.tag = Some("v0.1.0".into())), "v0.1.0@sha1:0000000000000000000000000000000000000006"),
            (reference(|r| r.tag = Some("v0.2.1".into())), "v0.2.1@sha1:0000000000000000000000000000000000000009"),
            (
                reference(|r| r.name = Some("refs/tags/v0.2.1^{}".into())),
                "refs/tags/v0.2.1^{}@sha1:0000000000000000000000000000000000000009",
            ),
            (reference(|r| r.semver = Some("<v0.2.1".into())), "0.2.0@sha1:0000000000000000000000000000000000000007"),
            (
                reference(|r| r.semver = Some(">=1.0.0 <2.0.0".into())),
                "v1.1.0@sha1:0000000000000000000000000000000000000011",
            ),
        ];
        for (reference, expected) in table {
            assert_eq!(names(&reference).unwrap(), [expected], "{reference:?}");
        }
        let commit = reference(|r| r.commit = Some(COMMIT.into()));
        assert_eq!(commit.revision(None, COMMIT), format!("sha1:{COMMIT}"));
        assert_eq!(commit.revision(Some("refs/heads/staging"), COMMIT), format!("staging@sha1:{COMMIT}"));
    }

    #[test]
    fn tags_of_equal_precedence_are_all_candidates() {
        assert_eq!(names(&reference(|r| r.semver = Some("2.x".into()))).unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let table = [
            (reference(|r| r.branch = Some("gone".into())), "couldn't find remote ref \"refs/heads/gone\""),
            (reference(|r| r.name = Some("refs/x/y".into())), "unable to resolve ref 'refs/x/y' to a specific commit"),
            (reference(|r| r.semver = Some(">9".into())), "no match found for semver: >9"),
            (reference(|r| r.branch = Some("a b".into())), "invalid reference 'refs/heads/a b'"),
            (reference(|r| r.name = Some("--upload-pack=x".into())), "invalid reference '--upload-pack=x'"),
        ];
        for (reference, expected) in table {
            assert_eq!(names(&reference).unwrap_err().to_string(), expected);
        }
        assert!(names(&reference(|r| r.semver = Some("not a range".into()))).is_err());
    }
}

//! Which names a release may have.

/// The longest name of a release; objects add to it and may have 63 characters.
pub const MAX_LENGTH: usize = 53;

/// Why a name was refused; the texts are Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("release name \"\": no name provided")]
    Missing,
    #[error(
        "release name {}: invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than {MAX_LENGTH}",
        crate::quote::quote(.0)
    )]
    Invalid(String),
}

/// Checks that a name is a DNS name in lower case of at most [`MAX_LENGTH`] bytes.
pub fn check(name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::Missing);
    }
    let is_end = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|b| is_end(*b))
            && bytes.last().is_some_and(|b| is_end(*b))
            && bytes.iter().all(|b| is_end(*b) || *b == b'-')
    };
    if name.len() <= MAX_LENGTH && name.split('.').all(is_label) {
        Ok(())
    } else {
        Err(Error::Invalid(name.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_names() {
        for name in ["a", "a-b", "a.b-1", "1", &"a".repeat(MAX_LENGTH)] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["-a", "a-", "A", "a..b", "a_b", "é", &"a".repeat(MAX_LENGTH + 1)] {
            assert_eq!(check(name), Err(Error::Invalid(name.to_string())));
        }
        assert_eq!(check(""), Err(Error::Missing));
    }
}

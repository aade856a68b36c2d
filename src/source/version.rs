//! Versions as Flux takes them from tags and indexes.

use helm::semver::Version;

/// Reads a version that has all three numbers; a leading `v` and leading zeros are allowed.
pub fn three_part_version(text: &str) -> Option<Version> {
    if text.splitn(3, '.').count() != 3 {
        return None;
    }
    Version::parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_are_needed() {
        for text in ["1.2.3", "v2025.02.03-rc.1", "1.2.3+meta.x"] {
            assert!(three_part_version(text).is_some(), "{text}");
        }
        for text in ["1", "1.2", "v1", "main", "1.2.x"] {
            assert!(three_part_version(text).is_none(), "{text}");
        }
    }
}

//! `.helmignore`: which files of a chart's folder are no part of the chart.

use super::glob;

/// Why a rule file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("double-star (**) syntax is not supported")]
    DoubleStar,
    #[error("{0}")]
    Pattern(#[from] glob::BadPattern),
}

/// The rules of a folder, in order.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    pattern: String,
    /// The rule says what is *not* ignored.
    negated: bool,
    /// The rule is for folders alone.
    folders: bool,
    /// Only the last part of the path is compared.
    base_only: bool,
}

impl Rules {
    /// Reads a rule file and adds Helm's own rule about dot files in `templates/`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut rules = Self::default();
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for line in text.lines().chain(["templates/.?*"]) {
            rules.add(line.trim())?;
        }
        Ok(rules)
    }

    fn add(&mut self, line: &str) -> Result<(), Error> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if line.contains("**") {
            return Err(Error::DoubleStar);
        }
        glob::path_match(line, "abc")?;
        let (negated, rule) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        let (folders, rule) = rule.strip_suffix('/').map_or((false, rule), |rest| (true, rest));
        let rule = Rule {
            base_only: !rule.contains('/'),
            pattern: rule.strip_prefix('/').unwrap_or(rule).to_string(),
            negated,
            folders,
        };
        self.0.push(rule);
        Ok(())
    }

    /// Says whether a file or folder is left out. `path` is relative to the chart, with slashes.
    ///
    /// A negated rule that does *not* match ignores the path, as in Helm.
    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        for rule in &self.0 {
            let applies = !rule.folders || is_folder;
            let matches = applies && rule.matches(path);
            if rule.negated && !matches || !rule.negated && matches {
                return true;
            }
        }
        false
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let name = if self.base_only { path.rsplit('/').next().unwrap_or(path) } else { path };
        glob::path_match(&self.pattern, name).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_follow_helm() {
        for (rules, path, is_folder, ignored) in [
            ("*.txt", "a/b.txt", false, true),
            ("a/*.txt", "a/b.txt", false, true),
            ("a/*.txt", "a/c/b.txt", false, false),
            ("/b.txt", "a/b.txt", false, false),
            ("/b.txt", "b.txt", false, true),
            ("docs/", "docs", true, true),
            ("docs/", "docs", false, false),
            ("# c\n\n  *.md  ", "x.md", false, true),
            ("!*.txt", "Chart.yaml", false, true),
            ("!*.txt", "a.txt", false, false),
            ("", "templates/.x.yaml", false, true),
            ("", "templates/.", false, false),
            ("[a-c].txt", "b.txt", false, true),
        ] {
            assert_eq!(Rules::parse(rules).unwrap().ignores(path, is_folder), ignored, "{rules:?} on {path}");
        }
    }

    #[test]
    fn a_refused_rule_says_why() {
        assert_eq!(Rules::parse("a/**").unwrap_err().to_string(), "double-star (**) syntax is not supported");
        assert_eq!(Rules::parse("[a").unwrap_err().to_string(), "syntax error in pattern");
    }
}

//! What decoding one document may cost: steps that aliases repeat, text that they repeat, and depth.

use super::MAX_DEPTH;
use super::error::Error;
use super::parser::Node;
use super::scanner::Result;

/// How many bytes of text a document may gain by aliases; go-yaml counts nodes only.
pub const MAX_ALIASED_BYTES: usize = 64 << 20;

/// Below so many steps nearly all of them may come from aliases.
const ALIAS_RATIO_LOW: usize = 400_000;
/// From so many steps on a tenth of them may come from aliases.
const ALIAS_RATIO_HIGH: usize = 4_000_000;

const EXCESS: &str = "document contains excessive aliasing";

#[derive(Default)]
pub(super) struct Budget {
    steps: usize,
    aliased_steps: usize,
    aliased_bytes: usize,
    depth: usize,
    /// The aliases that are being decoded.
    open_aliases: Vec<usize>,
}

impl Budget {
    /// Counts a step and refuses documents that are mostly aliases, as go-yaml does.
    pub(super) fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.open_aliases.is_empty() {
            return Ok(());
        }
        self.aliased_steps += 1;
        let ratio = self.aliased_steps as f64 / self.steps as f64;
        if self.aliased_steps > 100 && self.steps > 1000 && ratio > allowed_alias_ratio(self.steps) {
            return Err(Error::unplaced(EXCESS));
        }
        Ok(())
    }

    /// Counts a text that was copied.
    pub(super) fn text(&mut self, bytes: usize) -> Result<()> {
        if !self.open_aliases.is_empty() {
            self.aliased_bytes += bytes;
            if self.aliased_bytes > MAX_ALIASED_BYTES {
                return Err(Error::unplaced(EXCESS));
            }
        }
        Ok(())
    }

    /// Goes into a collection; `leave` comes back.
    pub(super) fn enter(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::unplaced(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Follows the alias at `at`; `close_alias` comes back.
    pub(super) fn open_alias(&mut self, nodes: &[Node<'_>], at: usize) -> Result<()> {
        if self.open_aliases.contains(&at) {
            let name = String::from_utf8_lossy(&nodes[at].text);
            return Err(Error::unplaced(format!("anchor '{name}' value contains itself")));
        }
        self.open_aliases.push(at);
        Ok(())
    }

    pub(super) fn close_alias(&mut self) {
        self.open_aliases.pop();
    }
}

fn allowed_alias_ratio(steps: usize) -> f64 {
    match steps {
        ..=ALIAS_RATIO_LOW => 0.99,
        ALIAS_RATIO_HIGH.. => 0.10,
        _ => 0.99 - 0.89 * ((steps - ALIAS_RATIO_LOW) as f64 / (ALIAS_RATIO_HIGH - ALIAS_RATIO_LOW) as f64),
    }
}

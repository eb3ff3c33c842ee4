//! Long lists come in pages: so many lines, after this one.

use serde::Deserialize;

/// The most lines of one answer.
const MOST: usize = 100;

/// Which lines are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) after: String,
    limit: Option<usize>,
}

impl Page {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(MOST).clamp(1, MOST)
    }
}

//! Long lists come in pages: so many lines, after this one.

use schemars::JsonSchema;
use serde::Deserialize;

/// The most lines of one answer.
const MOST: usize = 100;

/// Which lines are asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    /// Only what comes after this one: the `next` of the page before
    #[serde(default)]
    pub(super) after: String,
    /// At most so many, and never more than 100
    limit: Option<usize>,
}

impl Page {
    pub(super) fn limit(&self) -> usize {
        self.limit_within(MOST)
    }

    /// Where a page is larger for those who do not say how large.
    pub(super) fn limit_within(&self, unsaid: usize) -> usize {
        self.limit.map_or(unsaid, |limit| limit.clamp(1, MOST))
    }
}

/// The first lines of `all` after the page's cursor, by key, and the cursor of those that come next.
pub(super) fn cut<T>(
    page: &Page,
    limit: usize,
    mut all: Vec<T>,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    all.retain(|one| key(one) > page.after);
    all.sort_by_cached_key(&key);
    let next = (all.len() > limit).then(|| key(&all[limit - 1]));
    all.truncate(limit);
    (all, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_what_was_read_and_nothing_is_read_twice() {
        let page = |after: &str| Page { after: after.into(), limit: None };
        let all = || vec!["c".to_owned(), "a".into(), "b".into()];
        assert_eq!(cut(&page(""), 2, all(), String::clone), (vec!["a".into(), "b".into()], Some("b".into())));
        assert_eq!(cut(&page("b"), 2, all(), String::clone), (vec!["c".into()], None));
        assert_eq!(cut(&page(""), 3, all(), String::clone).1, None, "a full page may be the last");
    }
}

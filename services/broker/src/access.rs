//! The access lists of the three listeners. Pure.
//!
//! An access list without a rule once meant that everybody may do everything (CVE-2018-12550): each must have one, and
//! hold nothing but rules, so that a list cut in half is not used.

use crate::inputs::{Data, entry};

const LISTS: [&str; 3] = ["acl-carriers", "acl-sellers", "acl-admin"];

/// How a line may begin.
const RULES: [&str; 4] = ["pattern read ", "pattern write ", "pattern readwrite ", "pattern deny "];

/// Why the lists are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("access list {0} is missing")]
    Missing(&'static str),
    #[error("access list {0} has no rule")]
    Empty(&'static str),
    #[error("access list {list} is damaged in line {line}")]
    Damaged { list: &'static str, line: usize },
}

impl Error {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Missing(_) => "no access lists",
            Self::Empty(_) | Self::Damaged { .. } => "damaged access lists",
        }
    }
}

/// The three lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access([Vec<u8>; 3]);

impl Access {
    pub(crate) fn new(data: Option<&Data>) -> Result<Self, Error> {
        let read = |name| {
            let list = entry(data, name).ok_or(Error::Missing(name))?;
            check(name, list).map(|()| list.to_vec())
        };
        Ok(Self([read(LISTS[0])?, read(LISTS[1])?, read(LISTS[2])?]))
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        LISTS.into_iter().zip(self.0.clone())
    }
}

fn check(list: &'static str, text: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(text).map_err(|_| Error::Damaged { list, line: 0 })?;
    let mut rules = 0;
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
    {
        // A topic of ours: what a line cut short grants is not what its author meant.
        let topic = RULES.iter().find_map(|rule| line.strip_prefix(rule));
        if !topic.is_some_and(|topic| topic.starts_with("wb/") && !topic.ends_with('/') && !topic.contains(' ')) {
            return Err(Error::Damaged { list, line: number + 1 });
        }
        rules += 1;
    }
    if rules == 0 { Err(Error::Empty(list)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_a_rule_or_cut_short_is_refused() {
        assert_eq!(check("acl-admin", b"# only words\n\n"), Err(Error::Empty("acl-admin")));
        for damaged in
            ["pattern read", "pattern read wb/+/", "pattern read #", "topic readwrite #", "user x", "wb/probe/#"]
        {
            let text = format!("# list\npattern read wb/probe/#\n{damaged}\n");
            let damaged = Error::Damaged { list: "acl-admin", line: 3 };
            assert_eq!(check("acl-admin", text.as_bytes()), Err(damaged), "{text}");
        }
    }

    #[test]
    fn the_lists_of_the_chart_are_used() {
        for list in [
            include_str!("../../../charts/waybill/files/broker/acl-carriers"),
            include_str!("../../../charts/waybill/files/broker/acl-sellers"),
            include_str!("../../../charts/waybill/files/broker/acl-admin"),
        ] {
            assert_eq!(check("acl-admin", list.as_bytes()), Ok(()));
        }
    }
}

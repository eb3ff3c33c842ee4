//! Pieces of schema that several kinds share.

use kube::core::{Reason, Rule};

use crate::NAME_MAX;

/// Names of what is made for a participant are derived from its own, among them a Service's, which takes no dots.
pub(crate) fn participant_name(kind: &str) -> Rule {
    Rule::new(format!(
        "self.metadata.name.size() <= {NAME_MAX} && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
    ))
    .message(&*format!("the name of a {kind} has at most {NAME_MAX} characters: lower-case letters, digits and '-'"))
    .reason(Reason::FieldValueInvalid)
}

//! From what a reconciler found to conditions, and from conditions to Events. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use waybill_crds::condition::{self, Status, Wanted};
use waybill_crds::{ConditionType, Reason};

use crate::events::{Severity, Telling};

/// One condition's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub status: Status,
    pub reason: Reason,
    pub message: String,
}

impl Word {
    pub(crate) fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: Status::True, reason, message: message.into() }
    }

    pub(crate) fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self { status: Status::False, reason, message: message.into() }
    }

    /// What a condition says; None if its reason is of another version's vocabulary.
    pub(crate) fn of(condition: &Condition) -> Option<Self> {
        let status = match condition.status.as_str() {
            "True" => Status::True,
            "False" => Status::False,
            _ => Status::Unknown,
        };
        let reason = *Reason::ALL.iter().find(|reason| reason.as_str() == condition.reason)?;
        Some(Self { status, reason, message: condition.message.clone() })
    }

    pub(crate) fn is_yes(&self) -> bool {
        self.status == Status::True
    }
}

/// The conditions the operator owns on one object: what is in `said` and nothing else of `owned`.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub generation: Option<i64>,
    pub said: Vec<(ConditionType, Word)>,
}

impl Report {
    /// The owned part of the list; unchanged conditions keep their bytes, so that an unchanged report is an unchanged list.
    pub(crate) fn conditions(&self, observed: &[Condition], now: Timestamp) -> Vec<Condition> {
        let mut list: Vec<Condition> =
            observed.iter().filter(|c| self.said.iter().any(|(type_, _)| type_.as_str() == c.type_)).cloned().collect();
        for (type_, word) in &self.said {
            let wanted = Wanted {
                type_: *type_,
                status: word.status,
                reason: word.reason,
                message: word.message.clone(),
                observed_generation: self.generation,
            };
            condition::set(&mut list, wanted, now);
        }
        list.sort_by(|a, b| a.type_.cmp(&b.type_));
        list
    }
}

/// The owned conditions of a list, in the order `conditions` gives them.
pub(crate) fn owned(observed: &[Condition], owned: &[ConditionType]) -> Vec<Condition> {
    let mut list: Vec<Condition> =
        observed.iter().filter(|c| owned.iter().any(|type_| type_.as_str() == c.type_)).cloned().collect();
    list.sort_by(|a, b| a.type_.cmp(&b.type_));
    list
}

/// What is worth an Event between two lists: a summary that turned, or the reason why it is not True. The plain way to Ready is
/// told by the condition itself; an Event for it would be a second write for every Delivery.
pub(crate) fn tellings(
    about: &ObjectReference,
    before: &[Condition],
    after: &[Condition],
    watched: &[ConditionType],
) -> Vec<Telling> {
    let mut tellings = Vec::new();
    for type_ in watched {
        let (old, Some(new)) = (condition::find(before, *type_), condition::find(after, *type_)) else { continue };
        let good = new.status == Status::True.as_str();
        let turned = old.is_none_or(|old| old.status != new.status || old.reason != new.reason);
        let was_bad = old.is_some_and(|old| old.status == Status::False.as_str() && !is_waiting(&old.reason));
        if turned && ((good && was_bad) || (!good && !is_waiting(&new.reason))) {
            tellings.push(Telling {
                about: about.clone(),
                severity: if good { Severity::Normal } else { Severity::Warning },
                reason: new.reason.clone(),
                note: new.message.clone(),
                at: new.last_transition_time.0,
            });
        }
    }
    // Two conditions often give one reason; it is one piece of news.
    tellings.dedup_by(|a, b| a.reason == b.reason);
    tellings
}

/// Reasons of an ordinary start: nobody has to do anything.
fn is_waiting(reason: &str) -> bool {
    let ordinary = [
        Reason::Provisioning,
        Reason::SellerNotReady,
        Reason::CarrierNotReady,
        Reason::CarrierUnassigned,
        Reason::AutoCreated,
        Reason::WorkloadProgressing,
        Reason::AuthorityUnavailable,
        Reason::Cancelled,
    ];
    ordinary.iter().any(|waiting| waiting.as_str() == reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::noon;
    use jiff::ToSpan;

    fn ready(word: Word) -> Report {
        Report { generation: Some(1), said: vec![(ConditionType::Ready, word)] }
    }

    fn told(before: &[Condition], after: &[Condition]) -> Vec<String> {
        let about = ObjectReference::default();
        tellings(&about, before, after, &[ConditionType::Admitted, ConditionType::Ready])
            .into_iter()
            .map(|t| t.reason)
            .collect()
    }

    #[test]
    fn the_same_report_is_the_same_list_and_what_is_no_longer_said_is_gone() {
        let waiting = Report {
            generation: Some(1),
            said: vec![
                (ConditionType::Ready, Word::no(Reason::Provisioning, "soon")),
                (ConditionType::Reconciling, Word::yes(Reason::Provisioning, "soon")),
            ],
        };
        let first = waiting.conditions(&[], noon());
        assert_eq!(waiting.conditions(&first, noon() + 1.hour()), first);
        let then = ready(Word::yes(Reason::Provisioned, "")).conditions(&first, noon() + 1.hour());
        assert_eq!(then.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), ["Ready"]);
        assert_eq!(then[0].last_transition_time.0, noon() + 1.hour());
    }

    #[test]
    fn the_plain_way_to_ready_is_no_event() {
        let soon = ready(Word::no(Reason::SellerNotReady, "")).conditions(&[], noon());
        let there = ready(Word::yes(Reason::Provisioned, "")).conditions(&soon, noon());
        assert!(told(&[], &there).is_empty() && told(&[], &soon).is_empty() && told(&soon, &there).is_empty());
    }

    #[test]
    fn a_refusal_is_told_once_and_its_end_too() {
        let refused = ready(Word::no(Reason::DuplicateUpc, "another")).conditions(&[], noon());
        assert_eq!(told(&[], &refused), ["DuplicateUpc"]);
        assert!(told(&refused, &refused).is_empty());
        let there = ready(Word::yes(Reason::Provisioned, "")).conditions(&refused, noon());
        assert_eq!(told(&refused, &there), ["Provisioned"]);
    }
}

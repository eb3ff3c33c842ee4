//! The rules between parts of a Delivery and between its old and new state, as the API server checks them.
//!
//! A rule stands as deep as it can: each field a rule reads costs the API server a look at all fields beside it, and these rules
//! run at every write of every delivery. A rule is not asked when what it stands at is dropped, so one stands above it that
//! refuses just that. Texts about phases are generated from the table in [`crate::phase`].

use std::collections::BTreeMap;

use kube::core::{Message, Reason, Rule};

use super::custody::{Author, CORRECTED, RELEASED};
use crate::phase::{MAX_NEW_EVENTS, Phase};

/// The phase before this write, at the root; a Delivery without status is Pending.
const OLD: &str = "(has(oldSelf.status) ? oldSelf.status.phase : 'Pending')";
/// The same, in the status.
const WAS: &str = "(oldSelf.hasValue() ? oldSelf.value().phase : 'Pending')";

pub(super) fn carrier_may_change() -> Rule {
    let phases = list(Phase::CARRIER_MAY_CHANGE);
    forbid(
        ".spec.carrier",
        format!("{} || {OLD} in {phases}", unchanged("carrier")),
        format!("carrier may change only while the phase is {}", words(&Phase::CARRIER_MAY_CHANGE)),
    )
}

pub(super) fn frozen_after_pending(field: &str) -> Rule {
    forbid(
        &format!(".spec.{field}"),
        format!("{} || {OLD} == 'Pending'", unchanged(field)),
        format!("{field} is frozen once the phase has left Pending"),
    )
}

/// Asked at creation too: what has not begun has nothing to forget.
pub(super) fn forgotten_at_the_end() -> Rule {
    let asked = |whose: &str| format!("(has({whose}.spec.forgotten) && {whose}.spec.forgotten)");
    let (before, terminal) = ("oldSelf.value()", list(Phase::ALL.into_iter().filter(|phase| phase.terminal())));
    Rule {
        optional_old_self: Some(true),
        ..forbid(
            ".spec.forgotten",
            format!(
                "{now} ? (oldSelf.hasValue() && ({then} || (has({before}.status) && {before}.status.phase in {terminal}))) \
                 : !(oldSelf.hasValue() && {then})",
                now = asked("self"),
                then = asked(before),
            ),
            "forgotten may be set only once the Delivery is finished, and can't be withdrawn".into(),
        )
    }
}

pub(super) fn status_kept() -> Rule {
    forbid(".status", "!has(oldSelf.status) || has(self.status)".into(), "status can't be removed".into())
}

/// Together with [`custody_grows`], at the list, and [`status_kept`], at the root: no event goes once it is there.
pub(super) fn custody_kept() -> Rule {
    let rule = "!has(oldSelf.custody) || oldSelf.custody.size() == 0 || has(self.custody)";
    refuse(rule.into(), "custody is append-only: an event can't be removed".into())
}

pub(super) fn custody_grows() -> Rule {
    refuse("self.size() >= oldSelf.size()".into(), "custody is append-only: an event can't be removed".into())
}

pub(super) fn custody_unchanged() -> Rule {
    // Where the log got shorter, `custody_grows` says so; this one must only not fail over it.
    let rule = "self.size() < oldSelf.size() || oldSelf.all(i, e, self[i] == e)";
    refuse(rule.into(), "custody is append-only: an event can't be changed".into())
}

pub(super) fn custody_growth() -> Rule {
    Rule {
        optional_old_self: Some(true),
        ..refuse(
            format!("self.size() <= (oldSelf.hasValue() ? oldSelf.value().size() : 0) + {MAX_NEW_EVENTS}"),
            format!("custody grows by at most {MAX_NEW_EVENTS} events a write"),
        )
    }
}

/// A write takes as many steps as it may append events, so what counts is what is reachable. At the root, where a message may
/// tell the phase before: in the status there may be none.
pub(super) fn phase_steps() -> Rule {
    let mut groups: BTreeMap<Vec<Phase>, Vec<Phase>> = BTreeMap::new();
    for from in Phase::ALL.into_iter().filter(|phase| !phase.terminal()) {
        groups.entry(from.reachable().into_iter().collect()).or_default().push(from);
    }
    let steps: Vec<_> =
        groups.into_iter().map(|(to, from)| format!("(was in {} && now in {})", list(from), list(to))).collect();
    let terminal = list(Phase::ALL.into_iter().filter(|phase| phase.terminal()));
    let before = "(has(oldSelf.status) && has(oldSelf.status.custody) ? oldSelf.status.custody.size() : 0)";
    Rule {
        rule: format!(
            "!has(self.status) || [self.status.phase].all(now, [{OLD}].all(was, now == was || {} \
             || (now != 'Pending' && has(self.status.custody) \
             && self.status.custody.exists(i, e, i >= {before} && e.event == '{CORRECTED}'))))",
            steps.join(" || ")
        ),
        message: Some(Message::Expression(format!(
            "\"phase can't go from \" + {OLD} + ' to ' + self.status.phase + ({OLD} in {terminal} \
             ? ': a finished Delivery is reopened only by a {CORRECTED} event appended in the same write' : '')"
        ))),
        field_path: Some(".status".into()),
        reason: Some(Reason::FieldValueForbidden),
        optional_old_self: None,
    }
}

/// The phase is what the log says; an empty one says nothing, and only the operator's Cancelled needs no event.
pub(super) fn phase_needs_log() -> Rule {
    refuse(
        "self.phase in ['Pending', 'Cancelled'] || (has(self.custody) && self.custody.size() > 0)".into(),
        "while custody is empty the phase is Pending or Cancelled".into(),
    )
}

/// A released part of the address shows that the Seller has seen the pick-up; no other author can write such an entry.
pub(super) fn cancelled_before_pick_up() -> Rule {
    let from: Vec<_> = Phase::ALL.into_iter().filter(|phase| phase.next().contains(&Phase::Cancelled)).collect();
    let seller = Author::Seller.as_str();
    Rule {
        optional_old_self: Some(true),
        ..refuse(
            format!(
                "self.phase != 'Cancelled' || {WAS} == 'Cancelled' || ({WAS} in {} && !(has(self.custody) \
                 && self.custody.exists(e, e.author == '{seller}' && e.event == '{RELEASED}')))",
                list(from)
            ),
            "a parcel that was picked up can't be Cancelled: it goes ReturnToSender".into(),
        )
    }
}

pub(super) fn attempt_grows() -> Rule {
    refuse("self.attempt >= oldSelf.attempt".into(), "attempt never decreases".into())
}

/// What belongs to the carrier that accepted the job changes only where the carrier itself may.
pub(super) fn pinned(field: &str) -> Rule {
    let phases = list(Phase::CARRIER_MAY_CHANGE);
    refuse(
        format!(
            "!has(oldSelf.{field}) || (has(self.{field}) && self.{field} == oldSelf.{field}) || oldSelf.phase in {phases}"
        ),
        format!("{field} may change only while the phase is {}", words(&Phase::CARRIER_MAY_CHANGE)),
    )
}

/// Where it stands; [`forbid`] says it of another place.
fn refuse(rule: String, message: String) -> Rule {
    Rule {
        rule,
        message: Some(Message::Message(message)),
        field_path: None,
        reason: Some(Reason::FieldValueForbidden),
        optional_old_self: None,
    }
}

fn forbid(field_path: &str, rule: String, message: String) -> Rule {
    Rule { field_path: Some(field_path.into()), ..refuse(rule, message) }
}

/// A field of the specification absent before and after, or there and equal.
fn unchanged(field: &str) -> String {
    let (old, new) = (format!("oldSelf.spec.{field}"), format!("self.spec.{field}"));
    // Not with optionals: the cost of comparing them is taken for unbounded.
    format!("(has({old}) ? has({new}) && {new} == {old} : !has({new}))")
}

fn list(phases: impl IntoIterator<Item = Phase>) -> String {
    let quoted: Vec<_> = phases.into_iter().map(|phase| format!("'{phase}'")).collect();
    format!("[{}]", quoted.join(", "))
}

fn words(phases: &[Phase]) -> String {
    let (last, first) = phases.split_last().expect("at least one phase");
    let first: Vec<_> = first.iter().map(Phase::to_string).collect();
    format!("{} or {last}", first.join(", "))
}

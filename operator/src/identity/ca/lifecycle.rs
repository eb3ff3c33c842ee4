//! The life of the certificate authority as a pure state machine: which one step, if any, is due now. Each step is one write of one
//! Secret, so a crash between steps only means that the same step is decided again.
//!
//! active ──(2/3 of its life, or asked)──▶ + next ──(published everywhere)──▶ ──(overlap)──▶ next is active, active is previous
//! previous ──(its last leaf expired)──▶ former: its key is gone, its certificate stays for what stands in logs

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::identity::SKEW;

/// Cross-certificates reach two authorities back (see `x509::sign`), so no third one may be waiting to retire.
const MOST_PREVIOUS: usize = 2;
/// How many former authorities are remembered: twenty years of rotations by age, and 22 KiB of what every namespace is told.
pub(crate) const MOST_FORMER: usize = 32;

/// Everything the Secret says about authorities besides their keys and certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lifecycle {
    pub(crate) active: Active,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Next>,
    /// Youngest first.
    #[serde(default)]
    pub(crate) previous: Vec<Previous>,
    /// Youngest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) former: Vec<Former>,
    /// The last value of the rotate annotation that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotate_seen: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Active {
    pub(crate) id: String,
    /// When it began to issue.
    pub(crate) since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Next {
    pub(crate) id: String,
    /// When the last bundle that had to learn of it had done so; the overlap runs from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) published: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Previous {
    pub(crate) id: String,
    /// No leaf of it lives longer, as far as was known when it stopped issuing.
    pub(crate) last_leaf: Timestamp,
}

/// One that issues no more and none of whose leafs lives: only its certificate is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Former {
    pub(crate) id: String,
    pub(crate) retired: Timestamp,
    /// PEM.
    pub(crate) certificate: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) overlap: SignedDuration,
    /// The longest life a leaf may have: what another operator may have issued that we do not know of.
    pub(crate) longest_leaf: SignedDuration,
}

/// What the decision looks at besides the Secret's own state.
pub(crate) struct Observed<'a> {
    pub(crate) now: Timestamp,
    pub(crate) active_life: (Timestamp, Timestamp),
    /// The rotate annotation on the Secret.
    pub(crate) rotate: Option<&'a str>,
    /// Every bundle names the next authority, and a CRL of it is out.
    pub(crate) published: bool,
    /// Ids of previous authorities whose last known leaf has expired.
    pub(crate) spent: &'a [String],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Age,
    Asked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Make the next authority and publish it.
    Prepare(Reason),
    /// Note that everybody knows it.
    MarkPublished,
    Activate,
    Retire(String),
}

pub(crate) fn decide(state: &Lifecycle, observed: &Observed<'_>, policy: &Policy) -> Option<Step> {
    // The oldest first: the chain of cross-certificates leads back to it, and its fingerprint is the published root.
    if let Some(previous) = state.previous.last().filter(|previous| is_spent(previous, observed)) {
        return Some(Step::Retire(previous.id.clone()));
    }
    match &state.next {
        None => prepare(state, observed),
        Some(Next { published: None, .. }) => (observed.published || is_late(observed)).then_some(Step::MarkPublished),
        Some(Next { published: Some(at), .. }) => {
            let overlap = policy.overlap.min(half_of_rest(*at, observed.active_life.1));
            (observed.now.duration_since(*at) >= overlap).then_some(Step::Activate)
        }
    }
}

/// The state after a step; certificates and keys are the caller's business. `next` is the id made for `Prepare`.
pub(crate) fn advance(
    mut state: Lifecycle,
    step: &Step,
    next: Option<String>,
    observed: &Observed<'_>,
    policy: &Policy,
) -> Lifecycle {
    match step {
        Step::Prepare(_) => {
            state.next = next.map(|id| Next { id, published: None });
            state.rotate_seen = observed.rotate.map(str::to_owned).or(state.rotate_seen);
        }
        Step::MarkPublished => {
            if let Some(next) = &mut state.next {
                next.published = Some(observed.now);
            }
        }
        Step::Activate => {
            if let Some(next) = state.next.take() {
                let last_leaf = saturating_add(observed.now, policy.longest_leaf).min(observed.active_life.1);
                state.previous.insert(0, Previous { id: state.active.id, last_leaf });
                state.active = Active { id: next.id, since: observed.now };
            }
        }
        Step::Retire(id) => state.previous.retain(|previous| previous.id != *id),
    }
    state
}

/// Spent when the ledger says so, or when its own certificate's end has passed (`last_leaf` never lies beyond it).
fn is_spent(previous: &Previous, observed: &Observed<'_>) -> bool {
    observed.spent.contains(&previous.id) || previous.last_leaf + SKEW < observed.now
}

fn prepare(state: &Lifecycle, observed: &Observed<'_>) -> Option<Step> {
    if state.previous.len() >= MOST_PREVIOUS {
        return None;
    }
    let (from, until) = observed.active_life;
    let asked = observed.rotate.is_some() && observed.rotate != state.rotate_seen.as_deref();
    let old = observed.now >= from + until.duration_since(from) * 2 / 3;
    match (asked, old) {
        (true, _) => Some(Step::Prepare(Reason::Asked)),
        (false, true) => Some(Step::Prepare(Reason::Age)),
        (false, false) => None,
    }
}

/// In the last tenth of its life nobody waits any more for a namespace that cannot be told: the others need an authority too.
fn is_late(observed: &Observed<'_>) -> bool {
    let (from, until) = observed.active_life;
    observed.now >= from + until.duration_since(from) * 9 / 10
}

/// Late rotations overlap for less: the new authority must issue while the old one still lives.
fn half_of_rest(at: Timestamp, end: Timestamp) -> SignedDuration {
    end.duration_since(at).max(SignedDuration::ZERO) / 2
}

fn saturating_add(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl Lifecycle {
    /// Keeps what is left of an authority; the oldest makes room.
    pub(crate) fn remember(&mut self, former: Former) {
        self.former.insert(0, former);
        if self.former.len() > MOST_FORMER {
            tracing::warn!(
                most = MOST_FORMER,
                "the oldest former authority is forgotten: logs it vouches for can't be read any more"
            );
            self.former.truncate(MOST_FORMER);
        }
    }
}

#[cfg(test)]
mod tests;

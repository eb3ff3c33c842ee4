//! What becomes of a Delivery: one pure decision from what it says, what it names, and the time.
//!
//! `validate` of this reconciler. The order of the checks is the order in which a person would mend things.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use waybill_crds::delivery::Topics;
use waybill_crds::delivery::view::StatusView;
use waybill_crds::{ConditionType, DeliveryView, Phase, Reason, annotation, condition, label};
use waybill_protocol::{Direction, Topic, Uid};

use super::dereference::{CarrierFacts, Facts, Known, Rival, SellerFacts};
use crate::cache::started;
use crate::report::Word;
use crate::status::outlook;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Paused, or going away: hands off.
    Leave,
    /// Something is about to be written that decides: ask again in a moment.
    Wait,
    Decided(Box<Decision>),
}

/// What the status should say, and what else is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decision {
    pub admitted: Word,
    pub ready: Word,
    /// `Reconciling` or `Stalled`.
    pub outlook: Option<(ConditionType, Word)>,
    pub topics: Option<Topics>,
    pub act: Act,
    /// When time alone will change the decision.
    pub look_again: Option<Duration>,
}

/// What is done besides status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Act {
    #[default]
    Nothing,
    CreateSeller,
    CreateCarrier,
    /// Nobody has signed anything yet, so the phase is the operator's to set.
    Cancel,
    /// Finished, and kept for as long as was asked.
    Expire,
}

pub(super) fn decide(delivery: &DeliveryView, facts: &Facts, now: Timestamp) -> Verdict {
    let paused = delivery.annotations().get(annotation::PAUSED).is_some_and(|value| value == "true");
    let judged = delivery.status.as_ref().is_some_and(|status| status.observed_generation.is_some());
    if facts.namespace_ends || delivery.metadata.deletion_timestamp.is_some() || (paused && judged) {
        return Verdict::Leave;
    }
    if facts.rival == Rival::Undecided && !started(delivery) && !delivery.phase().terminal() {
        return Verdict::Wait;
    }
    let decision = if delivery.phase().terminal() {
        finished(delivery, now)
    } else if paused {
        let word =
            Word::no(Reason::Paused, format!("annotated {}: remove the annotation to go on", annotation::PAUSED));
        Decision::blocked(delivery, word)
    } else if delivery.spec.cancelled.is_some() && may_cancel(delivery) {
        Decision { act: Act::Cancel, ..Decision::over(delivery) }
    } else {
        running(delivery, facts, now)
    };
    Verdict::Decided(Box::new(decision))
}

/// Once something is signed, calling it off is the Seller's to do.
fn may_cancel(delivery: &DeliveryView) -> bool {
    delivery.phase() == Phase::Pending && delivery.status.as_ref().is_none_or(|status| status.custody.is_empty())
}

impl Decision {
    fn new(admitted: Word, ready: Word, delivery: &DeliveryView) -> Self {
        let outlook = outlook(&ready).map(|type_| (type_, Word::yes(ready.reason, ready.message.clone())));
        Self { admitted, ready, outlook, topics: topics_of(delivery), act: Act::Nothing, look_again: None }
    }

    /// Not admitted, hence not ready, for one reason. Topics stay: whoever waits on them may come back.
    fn blocked(delivery: &DeliveryView, word: Word) -> Self {
        Self::new(word.clone(), word, delivery)
    }

    /// Finished, or about to be: what was said stays said, nobody has to do anything.
    fn over(delivery: &DeliveryView) -> Self {
        let called_off = Word::no(Reason::Cancelled, "called off by spec.cancelled");
        let said = |type_| said(delivery, type_).filter(|_| delivery.phase() != Phase::Cancelled);
        let admitted = said(ConditionType::Admitted).unwrap_or_else(|| called_off.clone());
        let ready = said(ConditionType::Ready).unwrap_or(called_off);
        Self { outlook: None, ..Self::new(admitted, ready, delivery) }
    }
}

fn finished(delivery: &DeliveryView, now: Timestamp) -> Decision {
    let over = Decision::over(delivery);
    let ended = status(delivery).and_then(|status| status.finished_at.as_ref());
    let (Some(ttl), Some(ended)) = (delivery.spec.ttl_after_finished, ended) else { return over };
    let ttl = SignedDuration::try_from(ttl.get()).unwrap_or(SignedDuration::MAX);
    match ended.0.saturating_add(ttl).map(|due| due.duration_since(now)) {
        Ok(left) if left.is_positive() => Decision { look_again: Some(left.unsigned_abs()), ..over },
        // The archive's word wakes it.
        _ if !is_archived(delivery) => over,
        _ => Decision { act: Act::Expire, ..over },
    }
}

/// All of its log; one without a log has nothing to keep.
fn is_archived(delivery: &DeliveryView) -> bool {
    let Some(status) = status(delivery) else { return false };
    status.custody.is_empty()
        || status.archived.and_then(|entries| usize::try_from(entries).ok()) == Some(status.custody.len)
}

fn running(delivery: &DeliveryView, facts: &Facts, now: Timestamp) -> Decision {
    let (seller, carrier) = match ends(delivery, facts) {
        Ok(ends) => ends,
        Err(Block { word, act }) => return Decision { act, ..Decision::blocked(delivery, word) },
    };
    let topics = topics(delivery, seller, carrier);
    let ready = ready(delivery, seller, carrier, topics.as_ref());
    let admitted = Word::yes(Reason::Admitted, "may be carried out");
    let decision = Decision { topics, ..Decision::new(admitted, ready, delivery) };
    stalled(decision, delivery, seller.stall_after.unwrap_or(facts.stall_after), now)
}

/// Why it may not be carried out, and whether something can be done about it.
struct Block {
    word: Word,
    act: Act,
}

impl Block {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { word: Word::no(reason, message), act: Act::Nothing }
    }
}

/// Both ends, if they are there and may take part.
fn ends<'a>(delivery: &DeliveryView, facts: &'a Facts) -> Result<(&'a SellerFacts, &'a CarrierFacts), Block> {
    if facts.forgotten && !started(delivery) {
        let upc = &delivery.spec.upc;
        let message = format!("the order {upc:?} was forgotten, and stays so: a new order takes another upc");
        return Err(Block::new(Reason::UpcForgotten, message));
    }
    let seller = seller(delivery, facts)?;
    let carrier = carrier(delivery, facts)?;
    if let (Rival::Better(rival), false) = (&facts.rival, started(delivery)) {
        let upc = &delivery.spec.upc;
        let message = format!("Delivery {rival:?} has upc {upc:?} and is not finished: delete one of them, or wait");
        return Err(Block::new(Reason::DuplicateUpc, message));
    }
    Ok((seller, carrier))
}

fn seller<'a>(delivery: &DeliveryView, facts: &'a Facts) -> Result<&'a SellerFacts, Block> {
    let name = &delivery.spec.seller;
    let seller = match &facts.seller {
        Known::Here(seller) => seller,
        Known::Arriving => return Err(Block::new(Reason::SellerNotReady, arriving("Seller", name))),
        Known::Missing if facts.auto_create && !started(delivery) => {
            let message = format!("Seller {name:?} is created because this Delivery names it");
            return Err(Block { act: Act::CreateSeller, ..Block::new(Reason::AutoCreated, message) });
        }
        Known::Missing => return Err(Block::new(Reason::SellerMissing, missing("Seller", name))),
    };
    if started(delivery) && assigned(delivery).is_some_and(|(assigned, _)| assigned != seller.uid) {
        let message =
            format!("Seller {name:?} was deleted and made anew: its keys are gone, the parcel goes back by hand");
        return Err(Block::new(Reason::SellerReplaced, message));
    }
    if seller.suspended {
        let message = format!("Seller {name:?} is suspended: set its spec.suspended to false");
        return Err(Block::new(Reason::SellerSuspended, message));
    }
    Ok(seller)
}

fn carrier<'a>(delivery: &DeliveryView, facts: &'a Facts) -> Result<&'a CarrierFacts, Block> {
    let (Some(name), Some(carrier)) = (&delivery.spec.carrier, &facts.carrier) else {
        return Err(Block::new(Reason::CarrierUnassigned, "waits for a carrier: set spec.carrier"));
    };
    let carrier = match carrier {
        Known::Here(carrier) => carrier,
        Known::Arriving => {
            return Err(Block::new(Reason::CarrierNotReady, arriving("Carrier", name)));
        }
        Known::Missing if facts.auto_create && !started(delivery) => {
            let message = format!("Carrier {name:?} is created because this Delivery names it");
            return Err(Block { act: Act::CreateCarrier, ..Block::new(Reason::AutoCreated, message) });
        }
        Known::Missing => return Err(Block::new(Reason::CarrierMissing, missing("Carrier", name))),
    };
    let has_the_job = pinned(delivery) == Some(&carrier.uid);
    if carrier.revoked {
        return Err(Block::new(Reason::CarrierRevoked, format!("Carrier {name:?} is revoked: name another one")));
    }
    if let Some(word) = replaced(delivery, name, carrier) {
        return Err(Block { word, act: Act::Nothing });
    }
    if carrier.suspended && !has_the_job {
        let message = format!("Carrier {name:?} is suspended: set its spec.suspended to false, or name another one");
        return Err(Block::new(Reason::CarrierSuspended, message));
    }
    let proof = delivery.spec.proof.unwrap_or_default();
    if (proof.photo == Some(true) || proof.scan == Some(true)) && !carrier.camera && !has_the_job {
        let message = format!("spec.proof needs a camera, and Carrier {name:?} has none: name one that has");
        return Err(Block::new(Reason::CameraRequired, message));
    }
    Ok(carrier)
}

fn arriving(kind: &str, name: &str) -> String {
    format!("{kind} {name:?} was just created, or cannot be read: its Events then say why")
}

fn missing(kind: &str, name: &str) -> String {
    let (key, value) = (label::AUTO_CREATE, label::AUTO_CREATE_ENABLED);
    format!("no {kind} {name:?} in this namespace: create it, or label the namespace {key}={value} to have it made")
}

/// Someone else under the name of the carrier that has the job. Where the Delivery may be given to another carrier, a uid that
/// differs may also be just that; it is not while the specification is the one that was judged last, nor while the last word was
/// about this very name.
fn replaced(delivery: &DeliveryView, name: &str, carrier: &CarrierFacts) -> Option<Word> {
    let pinned = pinned(delivery)?;
    if *pinned == carrier.uid {
        return None;
    }
    let word = Word::no(
        Reason::CarrierReplaced,
        format!("Carrier {name:?} is not the one that has the job, it was made anew: name another one"),
    );
    let same_spec = status(delivery).and_then(|s| s.observed_generation) == delivery.metadata.generation;
    let told = said(delivery, ConditionType::Admitted).is_some_and(|last| last == word);
    let was_assigned = assigned(delivery).is_some_and(|(_, assigned)| assigned == carrier.uid);
    let given_away = delivery.phase().may_change_carrier() && (was_assigned || !(same_spec || told));
    (!given_away).then_some(word)
}

/// Both ends are provisioned. Once that was so for this pair of ends, a restart of either is that end's news: ten thousand
/// Deliveries of a Seller do not turn with each of its pods.
fn ready(delivery: &DeliveryView, seller: &SellerFacts, carrier: &CarrierFacts, topics: Option<&Topics>) -> Word {
    let ready = Word::yes(Reason::Provisioned, "both ends are provisioned");
    let were_ready = said(delivery, ConditionType::Ready).is_some_and(|word| word.is_yes());
    let same_ends = topics == topics_of(delivery).as_ref();
    if were_ready && same_ends {
        return ready;
    }
    if !seller.provisioned {
        return Word::no(Reason::SellerNotReady, format!("waiting for Seller {:?}", delivery.spec.seller));
    }
    if !carrier.provisioned {
        let name = delivery.spec.carrier.as_deref().unwrap_or_default();
        return Word::no(Reason::CarrierNotReady, format!("waiting for Carrier {name:?}"));
    }
    ready
}

/// A parcel under way that stands still, or ends that do not become ready, are called by that name after a while.
fn stalled(decision: Decision, delivery: &DeliveryView, after: SignedDuration, now: Timestamp) -> Decision {
    let status = status(delivery).cloned().unwrap_or_default();
    let turned = condition::find(&status.conditions, ConditionType::Ready)
        .filter(|ready| ready.status == decision.ready.status.as_str())
        .map_or(now, |ready| ready.last_transition_time.0);
    // A device's clock may be ahead; nothing happened later than now.
    let moved = status.custody.last_at.map_or(turned, |at| at.0.max(turned)).min(now);
    let (since, message) = match (decision.ready.is_yes(), started(delivery)) {
        // It waits for its recipient; its Seller calls it back when nobody comes.
        (true, true) if delivery.phase() == Phase::AvailableForPickup => return decision,
        (true, true) => (moved, format!("nothing has happened to the parcel since {}: ask its carrier", minute(moved))),
        // Waiting to be accepted is no standing still: a carrier may be offline for hours.
        (true, false) => return decision,
        (false, _) => (turned, format!("{}; see its conditions and events", decision.ready.message)),
    };
    let left = since.saturating_add(after).map_or(SignedDuration::ZERO, |due| due.duration_since(now));
    if left.is_positive() {
        return Decision { look_again: Some(left.unsigned_abs()), ..decision };
    }
    let reason = if decision.ready.is_yes() { Reason::Stalled } else { decision.ready.reason };
    Decision { outlook: Some((ConditionType::Stalled, Word::yes(reason, message))), ..decision }
}

fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

fn status(delivery: &DeliveryView) -> Option<&StatusView> {
    delivery.status.as_ref()
}

fn said(delivery: &DeliveryView, type_: ConditionType) -> Option<Word> {
    Word::of(condition::find(&status(delivery)?.conditions, type_)?)
}

/// The carrier that has accepted the job.
fn pinned(delivery: &DeliveryView) -> Option<&str> {
    status(delivery)?.carrier_uid.as_deref()
}

fn topics_of(delivery: &DeliveryView) -> Option<Topics> {
    status(delivery)?.topics.as_deref().cloned()
}

/// Whose the topics are: uids of Seller and Carrier.
pub(super) fn assigned(delivery: &DeliveryView) -> Option<(String, String)> {
    let topic: Topic = topics_of(delivery)?.down.parse().ok()?;
    Some((topic.seller.to_string(), topic.carrier.to_string()))
}

/// The topics of this pair of ends; they move only while the Delivery may be given to another carrier.
fn topics(delivery: &DeliveryView, seller: &SellerFacts, carrier: &CarrierFacts) -> Option<Topics> {
    let there = topics_of(delivery);
    if there.is_some() && !delivery.phase().may_change_carrier() {
        return there;
    }
    let uid = |text: &str| Uid::new(text).ok();
    let down = Topic {
        seller: uid(&seller.uid)?,
        carrier: uid(&carrier.uid)?,
        delivery: uid(delivery.metadata.uid.as_deref()?)?,
        direction: Direction::Down,
    };
    Some(Topics { up: down.reply().to_string(), down: down.to_string() })
}

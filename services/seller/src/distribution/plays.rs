//! One case, played without cluster, broker and clock.

mod bounds;
mod ends;
mod told;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use waybill_crds::{Delivery, Reason};
use waybill_protocol::fact::reason::HoldReason;
use waybill_protocol::{
    Bytes, Fact, Hash, Incoming, Log, Recipient, Role, SignedEvent, Stage, Uid, UnixMillis, carrier_to_seller::Message,
    version,
};
use zeroize::Zeroizing;

use super::case::{Case, Effect, Input, Now};
use super::facts::{CarrierFacts, Facts, Found, Lost, OrderData, SellerFacts};
use super::say::What;
use super::watched::is_of_a_forerunner;
use crate::keys::Keys;
use crate::source::FetchError;
use crate::token::Tokens;

#[path = "../../../cluster/tests/server/domain.rs"]
mod domain;
use domain::{Ca, Somebody};

#[test]
fn a_hello_goes_out_only_where_a_delivery_may_be_carried_out() {
    let play = Play::new();
    let greets = |facts: Facts| {
        let mut case = Case::default();
        case.on(Input::Known(Box::new(facts)), play.now(0));
        case.outstanding(NOW).map(|out| out.what)
    };
    assert_eq!(greets(play.facts()), Some(What::Hello));
    assert_eq!(greets(Facts { order: missing(), ..play.facts() }), None);
    assert_eq!(greets(Facts { carrier: None, ..play.facts() }), None);
    assert_eq!(
        greets(Facts { seller: SellerFacts { suspended: true, ..SellerFacts::default() }, ..play.facts() }),
        None
    );
    let revoked = CarrierFacts { revoked: true, ..play.carrier_facts() };
    assert_eq!(greets(Facts { carrier: Some(revoked), ..play.facts() }), None);
    let mut unready = (*play.delivery).clone();
    unready.status = None;
    assert_eq!(greets(Facts { delivery: Arc::new(unready), ..play.facts() }), None);
    let mut cancelled = (*play.delivery).clone();
    cancelled.spec.cancelled = Some(waybill_crds::delivery::Cancellation { reason: Default::default() });
    assert_eq!(greets(Facts { delivery: Arc::new(cancelled), ..play.facts() }), None);
}

/// D-42: in the log first, then read, then sent; to the attempt's key and to no other.
#[test]
fn a_part_leaves_only_after_its_release_was_written_and_it_was_read() {
    let mut play = Play::new();
    let mut case = play.picked_up();
    let (log, events) = appended(&play.heard(&mut case, &[Fact::PickedUp], 0));
    assert_eq!(kinds(&events), ["PickedUp", "Released"]);
    assert_eq!(case.outstanding(NOW).map(|out| out.what), Some(What::HandOver), "nothing is out before it is written");
    play.log = with(log, &events);
    let effects = case.on(Input::Written(Box::new(play.facts())), play.now(0));
    let [Effect::Fetch { stage: Stage::Country, released, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(case.outstanding(NOW), None, "nothing is out before it was read");
    case.on(Input::Fetched(*released, Ok(play.order().order.part(Stage::Country))), play.now(0));
    let out = case.outstanding(NOW).unwrap();
    assert_eq!((out.what, out.about), (What::Part(Stage::Country), *released));
    let (_, _, to) = case.message(&out, NOW).unwrap();
    assert_eq!(to, Recipient::Attempt(play.attempt_key.public()));
}

/// D-42: what is due may be read while its release is being written; it still leaves only after it.
#[test]
fn a_part_that_is_due_is_read_ahead_and_not_sent_before_its_release_was_written() {
    for fails in [false, true] {
        let mut play = Play::new();
        let (mut case, _) = play.country_is_out();
        let commitment = play.log.state().commitments().unwrap().country;
        let posted = Fact::Posted { stage: Stage::Country, commitment };
        let event = play.log.sign(&play.carrier.signer, posted, NOW).unwrap();
        play.log = with(play.log.clone(), &[event]);
        let effects = case.on(Input::Known(Box::new(play.facts())), play.now(0));
        let [Effect::Append { log, events, .. }, Effect::Fetch { stage: Stage::PostalCode, released, .. }] =
            &effects[..]
        else {
            panic!("{effects:?}")
        };
        assert_eq!(*released, events[0].id());
        let part = play.order().order.part(Stage::PostalCode);
        let answer = if fails { Err(FetchError::Unreachable) } else { Ok(part) };
        case.on(Input::Fetched(*released, answer), play.now(0));
        assert!(!matches!(case.outstanding(NOW).map(|out| out.what), Some(What::Part(Stage::PostalCode))));
        play.log = with((**log).clone(), events);
        let again = case.on(Input::Written(Box::new(play.facts())), play.now(0));
        assert_eq!(matches!(again[..], [Effect::Fetch { .. }]), fails, "{again:?}");
        let sent = case.outstanding(NOW).map(|out| out.what) == Some(What::Part(Stage::PostalCode));
        assert_ne!(sent, fails, "what could not be read ahead is read again, at once");
    }
}

#[test]
fn what_the_carrier_has_is_not_said_again_until_it_knocks() {
    let mut play = Play::new();
    let (mut case, released) = play.country_is_out();
    play.says(&mut case, Message::Received {}, released, 0);
    assert_eq!(case.outstanding(NOW), None);
    let effects = play.says(&mut case, Message::Knock {}, Hash::NONE, 0);
    assert!(matches!(effects[..], [Effect::Resend]), "{effects:?}");
    assert_eq!(case.outstanding(NOW).map(|out| out.what), Some(What::Part(Stage::Country)));
}

/// The Carrier API writes it; the message on `up` only makes the seller look. If it does not come, the seller writes it.
#[test]
fn what_was_posted_is_awaited_in_the_log_before_the_seller_writes_it_itself() {
    let mut play = Play::new();
    let (mut case, _) = play.country_is_out();
    let commitment = play.log.state().commitments().unwrap().country;
    let posted = Fact::Posted { stage: Stage::Country, commitment };
    assert!(play.heard(&mut case, &[posted], 0).is_empty());
    assert_eq!(case.wake(), Some(play.now(5000).instant));
    let (_, events) = appended(&case.on(Input::Later, play.now(5000)));
    assert_eq!(kinds(&events), ["Posted", "Released"]);
}

#[test]
fn a_write_that_failed_is_tried_again_later_and_never_taken_for_done() {
    let mut play = Play::new();
    let mut case = play.picked_up();
    play.heard(&mut case, &[Fact::PickedUp], 0);
    assert!(case.on(Input::NotWritten, play.now(0)).is_empty());
    assert!(case.on(Input::Later, play.now(50)).is_empty());
    let again = case.wake().unwrap() - play.start;
    assert_eq!(again, Duration::from_millis(100));
    let (_, events) = appended(&case.on(Input::Later, play.now(100)));
    assert_eq!(kinds(&events), ["PickedUp", "Released"]);
}

#[test]
fn a_carrier_whose_identity_ended_is_held_and_hears_nothing_more() {
    let mut play = Play::new();
    let (mut case, _) = play.country_is_out();
    let facts = Facts { lost: Some(Lost::Replaced), ..play.facts() };
    let (log, events) = appended(&case.on(Input::Known(Box::new(facts)), play.now(0)));
    assert_eq!(kinds(&events), ["OnHold"]);
    assert_eq!(case.outstanding(NOW), None, "not even before the hold is written");
    assert_eq!(
        events[0].event().fact,
        Fact::OnHold { reason: HoldReason::CarrierReplaced, note: None },
        "and the reason is told"
    );
    play.log = with(log, &events);
    let facts = Facts { lost: Some(Lost::Replaced), ..play.facts() };
    assert!(case.on(Input::Written(Box::new(facts)), play.now(0)).is_empty());
    assert_eq!(case.outstanding(NOW), None);
}

/// A hand-over shows the label: whoever lost its identity does not get that either.
#[test]
fn a_carrier_that_is_lost_after_it_accepted_gets_no_hand_over() {
    let mut play = Play::new();
    let mut case = play.picked_up();
    assert_eq!(case.outstanding(NOW).map(|out| out.what), Some(What::HandOver));
    let facts = Facts { lost: Some(Lost::Revoked), ..play.facts() };
    case.on(Input::Known(Box::new(facts)), play.now(0));
    assert_eq!(case.outstanding(NOW), None);
}

#[test]
fn nothing_is_released_while_the_order_is_not_there() {
    let mut play = Play::new();
    let mut case = play.picked_up();
    case.on(Input::Known(Box::new(Facts { order: missing(), ..play.facts() })), play.now(0));
    let (log, events) = appended(&play.heard(&mut case, &[Fact::PickedUp], 0));
    assert_eq!(kinds(&events), ["PickedUp"]);
    play.log = with(log, &events);
    let (_, events) = appended(&case.on(Input::Written(Box::new(play.facts())), play.now(0)));
    assert_eq!(kinds(&events), ["Released"], "and it is once the order is there");
}

#[test]
fn the_log_of_a_forerunner_is_left_alone() {
    let play = Play::new();
    let mut begun = (*play.delivery).clone();
    let status = begun.status.as_mut().unwrap();
    let seller = "5e11e500-0000-4000-8000-000000000001";
    let topic = |direction| {
        let (carrier, delivery) = ("ca001e00-0000-4000-8000-000000000002", "de11e500-0000-4000-8000-000000000003");
        format!("wb/{seller}/{carrier}/{delivery}/{direction}")
    };
    status.topics = Some(serde_json::from_value(json!({"down": topic("down"), "up": topic("up")})).unwrap());
    let anew = Uid::new("5e11e500-0000-4000-8000-000000000009").unwrap();
    assert!(!is_of_a_forerunner(&begun, &anew), "nothing is signed yet");
    let signed = json!({"author": "Transport", "seq": 0, "event": "Accepted", "at": "2026-12-01T09:30:00.000000Z",
                        "signed": "AAAA", "id": "0".repeat(64)});
    begun.status.as_mut().unwrap().custody = vec![serde_json::from_value(signed).unwrap()];
    assert!(is_of_a_forerunner(&begun, &anew));
    assert!(!is_of_a_forerunner(&begun, &Uid::new(seller).unwrap()));
}

#[test]
fn only_the_carrier_that_is_named_assigned_or_accepted_has_a_say() {
    let mut play = Play::new();
    let (named, stranger) = (play.carrier_facts().uid, Uid::new("ca001e00-0000-4000-8000-000000000009").unwrap());
    assert!(play.facts().is_party(&named) && !play.facts().is_party(&stranger));
    let nobody = |play: &Play| Facts { carrier: None, ..play.facts() };
    assert!(!nobody(&play).is_party(&named));
    play.picked_up();
    assert!(nobody(&play).is_party(&named), "who accepted stays one");
    assert!(!nobody(&play).is_party(&stranger));
}

/// D-65: only the answer to our own greeting is an acceptance.
#[test]
fn an_acceptance_that_answers_no_hello_of_ours_is_not_written() {
    let play = Play::new();
    let mut case = Case::default();
    case.on(Input::Known(Box::new(play.facts())), play.now(0));
    let accepted = |nonce| Fact::Accepted { attempt_key: domain_key().public(), nonce, protocol: version::CURRENT };
    assert!(play.heard(&mut case, &[accepted(waybill_protocol::Mac([9; 32]))], 0).is_empty());
    let nonce = play.facts().nonce(1);
    let (_, events) = appended(&play.heard(&mut case, &[accepted(nonce)], 0));
    assert_eq!(kinds(&events), ["Accepted", "HandedOver"]);
}

// === helpers ===

const NOW: UnixMillis = UnixMillis::from_secs(1_800_000_000);

struct Play {
    ca: Ca,
    carrier: Somebody,
    keys: Arc<Keys>,
    delivery: Arc<Delivery>,
    log: Log,
    attempt_key: waybill_protocol::AgreementSecret,
    start: Instant,
}

fn missing() -> Found {
    Found::Missing { reason: Reason::OrderUnknown, message: "none".into() }
}

fn domain_key() -> waybill_protocol::AgreementSecret {
    waybill_protocol::AgreementSecret::from_bytes([7; 32])
}

impl Play {
    fn new() -> Self {
        let ca = Ca::new();
        let seller = ca.somebody(Role::Seller, "shop", "acme", "5e11e500-0000-4000-8000-000000000001");
        let carrier = ca.somebody(Role::Carrier, "shop", "truck", "ca001e00-0000-4000-8000-000000000002");
        let delivery: Delivery = serde_json::from_value(json!({
            "apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery",
            "metadata": {"name": "one", "namespace": "shop", "uid": "de11e500-0000-4000-8000-000000000003"},
            "spec": {"upc": "UPC_1", "seller": "acme", "carrier": "truck"},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Provisioned", "message": "",
                                       "lastTransitionTime": "2026-11-21T12:00:00Z"}]},
        }))
        .unwrap();
        let log = waybill_cluster::custody::read(&delivery, seller.signer.uid(), &ca.trust()).unwrap();
        let keys = Keys {
            tokens: Tokens::new(seller.signer.statement(), &seller.seed),
            signer: seller.signer,
            agreement: seller.agreement,
            commit: Zeroizing::new([1; 32]),
            label: Zeroizing::new([2; 32]),
        };
        let (delivery, keys, start) = (Arc::new(delivery), Arc::new(keys), Instant::now());
        Self { ca, carrier, keys, delivery, log, attempt_key: domain_key(), start }
    }

    fn now(&self, millis: u64) -> Now {
        Now { wall: NOW, instant: self.start + Duration::from_millis(millis) }
    }

    fn order(&self) -> OrderData {
        let text = |text: &str| text.to_owned();
        OrderData::without_salt(waybill_protocol::Order {
            country: text("US"),
            province: text("GA"),
            city: text("Atlanta"),
            postal_code: text("30303"),
            client_name: text("N"),
            door_number: text("1"),
            phone_number: text("2"),
        })
    }

    fn carrier_facts(&self) -> CarrierFacts {
        let statement = self.carrier.signer.statement().clone();
        let (name, uid) = ("truck".to_owned(), statement.uid.clone());
        CarrierFacts { name, uid, statement: Some(statement), trouble: None, camera: false, revoked: false }
    }

    fn facts(&self) -> Facts {
        Facts {
            delivery: Arc::clone(&self.delivery),
            log: self.log.clone(),
            keys: Arc::clone(&self.keys),
            seller: SellerFacts::default(),
            carrier: Some(self.carrier_facts()),
            lost: None,
            order: Found::Here(self.order()),
        }
    }

    /// The same Delivery with this specification beside what it has.
    fn spec(&mut self, change: impl FnOnce(&mut waybill_crds::DeliverySpec)) {
        let mut delivery = (*self.delivery).clone();
        change(&mut delivery.spec);
        self.delivery = Arc::new(delivery);
    }

    /// The carrier states these, and they are in the log.
    fn carrier_states(&mut self, facts: &[Fact]) {
        for fact in facts {
            let event = self.log.sign(&self.carrier.signer, fact.clone(), NOW).unwrap();
            assert!(self.log.push(event.bytes()).counts(), "{fact:?}");
        }
    }

    /// The seller does, too.
    fn seller_states(&mut self, facts: &[Fact]) -> Hash {
        let mut last = Hash::NONE;
        for fact in facts {
            let event = self.log.sign(&self.keys.signer, fact.clone(), NOW).unwrap();
            assert!(self.log.push(event.bytes()).counts(), "{fact:?}");
            last = event.id();
        }
        last
    }

    /// The cluster shows the case how things are now.
    fn shows(&self, case: &mut Case, millis: u64) -> Vec<Effect> {
        case.on(Input::Known(Box::new(self.facts())), self.now(millis))
    }

    /// Everything the case wants written goes into the log, until it wants nothing more.
    fn settles(&mut self, case: &mut Case, mut effects: Vec<Effect>, millis: u64) -> Vec<Effect> {
        while let Some(Effect::Append { log, events, .. }) =
            effects.iter().find(|effect| matches!(effect, Effect::Append { .. }))
        {
            self.log = with((**log).clone(), events);
            effects = case.on(Input::Written(Box::new(self.facts())), self.now(millis));
        }
        effects
    }

    /// A log whose parcel is on its way, with the country part posted.
    fn in_transit(&mut self) {
        self.picked_up();
        self.carrier_states(&[Fact::PickedUp]);
        self.seller_states(&[Fact::Released { stage: Stage::Country, gate: None }]);
        let commitment = self.log.state().commitments().unwrap().country;
        self.carrier_states(&[Fact::Posted { stage: Stage::Country, commitment }]);
    }

    /// A case whose parcel is handed over and not yet picked up.
    fn picked_up(&mut self) -> Case {
        let mut case = Case::default();
        case.on(Input::Known(Box::new(self.facts())), self.now(0));
        let nonce = self.facts().nonce(1);
        let attempt_key = self.attempt_key.public();
        let accepted = Fact::Accepted { attempt_key, nonce, protocol: version::CURRENT };
        let (log, events) = appended(&self.heard(&mut case, &[accepted], 0));
        self.log = with(log, &events);
        case.on(Input::Written(Box::new(self.facts())), self.now(0));
        case
    }

    /// A case whose country part is on its way.
    fn country_is_out(&mut self) -> (Case, Hash) {
        let mut case = self.picked_up();
        let (log, events) = appended(&self.heard(&mut case, &[Fact::PickedUp], 0));
        self.log = with(log, &events);
        case.on(Input::Written(Box::new(self.facts())), self.now(0));
        let released = events[1].id();
        case.on(Input::Fetched(released, Ok(self.order().order.part(Stage::Country))), self.now(0));
        (case, released)
    }

    /// The carrier signs these and tells the seller.
    fn heard(&self, case: &mut Case, facts: &[Fact], millis: u64) -> Vec<Effect> {
        let mut log = self.log.clone();
        let sign = |fact: &Fact| {
            let event = log.sign(&self.carrier.signer, fact.clone(), NOW).unwrap();
            log.push(event.bytes());
            Bytes(event.bytes().to_vec())
        };
        let events = facts.iter().map(sign).collect();
        self.tell(
            case,
            Incoming { attempt: 1, about: Hash::NONE, events, body: Message::News {}, id: Hash::NONE },
            millis,
        )
    }

    fn says(&self, case: &mut Case, body: Message, about: Hash, millis: u64) -> Vec<Effect> {
        self.tell(case, Incoming { attempt: 1, about, events: Vec::new(), body, id: Hash::NONE }, millis)
    }

    fn tell(&self, case: &mut Case, said: Incoming<Message>, millis: u64) -> Vec<Effect> {
        let carrier: Uid = self.carrier.signer.uid().clone();
        case.on(Input::Heard(Box::new(said), carrier), self.now(millis))
    }
}

/// The one write among the effects.
fn appended(effects: &[Effect]) -> (Log, Vec<SignedEvent>) {
    let mut writes = effects.iter().filter_map(|effect| match effect {
        Effect::Append { log, events, .. } => Some(((**log).clone(), events.clone())),
        _ => None,
    });
    let (one, more) = (writes.next(), writes.next());
    assert!(more.is_none(), "more than one write: {effects:?}");
    one.unwrap_or_else(|| panic!("no write: {effects:?}"))
}

fn with(mut log: Log, events: &[SignedEvent]) -> Log {
    for event in events {
        assert!(log.push(event.bytes()).counts());
    }
    log
}

fn kinds(events: &[SignedEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.event().kind().as_str()).collect()
}

//! Version 1.
//!
//! If a test in this module fails, DO NOT CHANGE THE TEST: these bytes stand in logs, journals and proofs that must verify for years.
//! Something new gets a new version and a file of its own beside this one.

use minicbor::{Decode, Encode};
use waybill_protocol::{
    AgreementSecret, AttemptSecret, Author, Bytes, Event, Fact, Frame, Gate, Hash, LabelCode, LabelSecret, Mac,
    Outgoing, PersonName, Reason, ReceiptText, Recipient, SaltKey, ScanOutcome, SignedEvent, Stage, UnixMillis, Upc,
    Window, carrier_to_seller, commitment, fact::reason::*, hello_nonce, receipt_code, receipt_hash, seller_to_carrier,
    sign_courier_check,
};

use crate::{
    assert_pinned,
    kit::{COMMIT_KEY, LABEL_KEY, NOW, ORDER_SALT, attempt_secret, order, uid, world},
};

#[test]
fn every_fact_has_these_bytes() {
    let facts = facts();
    let encoded: Vec<_> = facts.iter().map(|(name, fact)| (*name, minicbor::to_vec(fact).unwrap())).collect();
    for ((name, fact), (_, bytes)) in facts.iter().zip(&encoded) {
        assert_eq!(minicbor::decode::<Fact>(bytes).unwrap(), *fact, "{name}");
    }
    let kinds: std::collections::BTreeSet<_> = facts.iter().map(|(_, fact)| fact.kind()).collect();
    assert_eq!(kinds.len(), waybill_protocol::Kind::ALL.len(), "every kind is pinned");
    assert_pinned(&encoded, FACTS);
}

#[test]
fn every_message_has_these_bytes() {
    let (down, up) = (down(), up());
    let encoded: Vec<_> = down
        .iter()
        .map(|(name, message)| (*name, round_trip(message)))
        .chain(up.iter().map(|(name, message)| (*name, round_trip(message))))
        .collect();
    assert_pinned(&encoded, MESSAGES);
}

#[test]
fn an_event_a_statement_and_a_frame_have_these_bytes() {
    let world = world();
    let log = world.plain(3);
    let event = |index: usize| log.entries()[index].bytes().to_vec();
    let signed: &SignedEvent = log.entries()[2].event().unwrap();
    let bare = Event {
        statement: None,
        seen: None,
        prev: None,
        author: Author::Person,
        uid: uid("p"),
        ..signed.event().clone()
    };
    let message = Outgoing {
        attempt: 1,
        about: Hash([7; 32]),
        events: vec![Bytes(vec![1, 2, 3])],
        body: seller_to_carrier::Message::Part {
            part: Bytes(order().part(Stage::Door).encode()),
            salt: Mac([8; 32]),
            token: token(),
        },
    };
    let to = Recipient::Attempt(attempt_secret(1).public());
    let frame = world.conversation().seal(&message, &world.seller.signer, to, &mut Fixed(1)).unwrap();
    assert!(Frame::read(&frame).is_ok());
    let challenge = sign_courier_check(&world.carrier.signer, &world.subject.delivery, 1, b"K7QF");
    assert_pinned(
        &[
            ("statement", world.carrier.signer.statement_bytes().0.clone()),
            ("first event", event(0)),
            ("hand-over", event(1)),
            ("later event", event(2)),
            ("later event's id", signed.id().0.to_vec()),
            ("smallest event", minicbor::to_vec(&bare).unwrap()),
            ("frame", frame),
            ("courier check", challenge),
        ],
        SIGNED,
    );
}

#[test]
fn every_derived_value_is_this() {
    let delivery = uid("dddddddd-0000-4000-8000-000000000001");
    let (of_order, of_seller) = (SaltKey::Order(ORDER_SALT), SaltKey::Seller(&COMMIT_KEY));
    let part = order().part(Stage::PostalCode);
    let salt = of_order.salt(&delivery, &order(), Stage::PostalCode);
    let label = LabelSecret::new(&LABEL_KEY, &delivery);
    let code = receipt_code(&LABEL_KEY, &delivery);
    let (seller, agent) = (AgreementSecret::from_bytes([1; 32]), AgreementSecret::from_bytes([2; 32]));
    let secret = AttemptSecret::of_seller(&seller, &agent.public(), &delivery, 1);
    assert_pinned(
        &[
            ("country part", order().part(Stage::Country).encode()),
            ("postal code part", part.encode()),
            ("door part", order().part(Stage::Door).encode()),
            ("salt of order", salt.0.to_vec()),
            ("salt of seller", of_seller.salt(&delivery, &order(), Stage::PostalCode).0.to_vec()),
            ("commitment", commitment(&delivery, &part, &salt).0.to_vec()),
            ("hello nonce", hello_nonce(&COMMIT_KEY, &delivery, 1).0.to_vec()),
            ("label code", LabelCode { delivery: delivery.clone(), secret: label }.to_string().into_bytes()),
            ("scan mac", label.scan_mac(&delivery, 1).0.to_vec()),
            ("receipt text", ReceiptText { delivery: delivery.clone(), code }.to_string().into_bytes()),
            ("receipt hash", receipt_hash(&delivery, &code).0.to_vec()),
            ("courier digits", secret.digits(b"K7QF").as_str().as_bytes().to_vec()),
        ],
        DERIVED,
    );
}

#[test]
fn every_word_of_every_list_has_this_number() {
    fn words<T: Encode<()> + Copy + std::fmt::Display>(all: &[T]) -> String {
        let numbered = all.iter().map(|word| format!("{}={word}", hex::encode(minicbor::to_vec(word).unwrap())));
        numbered.collect::<Vec<_>>().join(" ")
    }
    let lists = [
        words(Cause::ALL),
        words(Happening::ALL),
        words(HoldReason::ALL),
        words(CancelReason::ALL),
        words(ReturnReason::ALL),
        words(Incident::ALL),
        words(DeliveredTo::ALL),
        words(EvidenceKind::ALL),
        words(Media::ALL),
        words(DeclaredFact::ALL),
        words(ErasedScope::ALL),
        words(Guarantee::ALL),
        words(carrier_to_seller::Decline::ALL),
    ];
    assert_eq!(lists, WORDS);
}

// === samples ===

fn facts() -> Vec<(&'static str, Fact)> {
    let note = Some(Hash([0x22; 32]));
    let event = Hash([0x33; 32]);
    let reason = Reason { cause: Cause::Recipient, what: Happening::RecipientAbsent, note };
    let bare = Reason { cause: Cause::Unknown, what: Happening::Other, note: None };
    let mut terms = world().terms();
    (terms.photo, terms.scan) = (true, true);
    terms.window = Some(window());
    let key = attempt_secret(1).public();
    vec![
        ("Accepted", Fact::Accepted { attempt_key: key, nonce: Mac([1; 32]), protocol: 1 }),
        ("Rekeyed", Fact::Rekeyed { attempt_key: key, nonce: Mac([1; 32]) }),
        ("KeyRotated", Fact::KeyRotated),
        ("HandedOver", Fact::HandedOver { terms: terms.clone() }),
        (
            "HandedOver, least",
            Fact::HandedOver { terms: waybill_protocol::Terms { window: None, receipt: None, ..terms.clone() } },
        ),
        ("PickedUp", Fact::PickedUp),
        ("Released country", Fact::Released { stage: Stage::Country, gate: None }),
        ("Released postal code", Fact::Released { stage: Stage::PostalCode, gate: None }),
        ("Released door", Fact::Released { stage: Stage::Door, gate: Some(Gate::NotAsked) }),
        ("Released door by scan", Fact::Released { stage: Stage::Door, gate: Some(Gate::Scan { scan: event }) }),
        (
            "Released door by incident",
            Fact::Released { stage: Stage::Door, gate: Some(Gate::Incident { incident: event }) },
        ),
        ("Posted", Fact::Posted { stage: Stage::Country, commitment: event }),
        ("Scanned read", Fact::Scanned { outcome: ScanOutcome::Read { mac: Mac([2; 32]) }, tries: 1 }),
        ("Scanned wrong", Fact::Scanned { outcome: ScanOutcome::WrongParcel, tries: 300 }),
        ("Scanned unreadable", Fact::Scanned { outcome: ScanOutcome::Unreadable, tries: 2 }),
        ("ScanRefused", Fact::ScanRefused { scan: event }),
        ("IncidentReported", Fact::IncidentReported { incident: Incident::Accident, note }),
        ("Delivered", Fact::Delivered { to: DeliveredTo::Recipient, note: None }),
        ("Delivered with note", Fact::Delivered { to: DeliveredTo::SafePlace, note }),
        ("ProofAttached", Fact::ProofAttached { kind: EvidenceKind::Photo, media: Media::Png, sha256: event }),
        ("ReceiptProved", Fact::ReceiptProved { code: waybill_protocol::ReceiptCode([3; 16]) }),
        ("AttemptFailed", Fact::AttemptFailed { reason }),
        ("Rescheduled", Fact::Rescheduled { window: Some(window()) }),
        ("Rescheduled, no window", Fact::Rescheduled { window: None }),
        ("AvailableForPickup", Fact::AvailableForPickup { note }),
        ("OnHold", Fact::OnHold { reason: HoldReason::CarrierRevoked, note }),
        ("Resumed", Fact::Resumed),
        ("Refused", Fact::Refused { reason }),
        ("Damaged", Fact::Damaged { reason: bare }),
        ("Lost", Fact::Lost { reason: bare }),
        ("Found", Fact::Found { note: None }),
        ("Cancelled", Fact::Cancelled { reason: CancelReason::RecipientRequest }),
        ("ReturnRequested", Fact::ReturnRequested { reason: ReturnReason::AttemptsExhausted }),
        ("GivenBack", Fact::GivenBack),
        ("ReturnReceived", Fact::ReturnReceived),
        ("AddressChanged", Fact::AddressChanged { commitments: terms.commitments }),
        ("CarrierAssigned", Fact::CarrierAssigned { carrier: uid("c-2") }),
        ("Declared", Fact::Declared { fact: DeclaredFact::Delivered, by: PersonName::new("jane@shop").unwrap(), note }),
        ("Countersigned", Fact::Countersigned { event }),
        ("Corrected", Fact::Corrected { event, note: None }),
        ("Erased", Fact::Erased { scope: ErasedScope::Delivery }),
        ("Forgotten", Fact::Forgotten { guarantee: Guarantee::Full }),
    ]
}

fn down() -> Vec<(&'static str, seller_to_carrier::Message)> {
    use seller_to_carrier::{Message as M, Offer, Picture};
    let offer = Offer { upc: Upc::new("UPC_1").unwrap(), photo: true, scan: false, window: Some(window()) };
    let picture = Picture { media: Media::Png, bytes: Bytes(vec![4, 5]) };
    vec![
        ("Hello", M::Hello { statement: Bytes(vec![1, 2]), nonce: Mac([3; 32]), min: 1, current: 1, offer }),
        ("HandOver", M::HandOver { label: None }),
        ("HandOver with label", M::HandOver { label: Some(picture) }),
        ("Part", M::Part { part: Bytes(vec![6]), salt: Mac([7; 32]), token: token() }),
        ("News down", M::News {}),
        ("Challenge", M::Challenge { challenge: Bytes(b"K7QF".to_vec()), expires_at: NOW }),
        ("Erase", M::Erase {}),
    ]
}

fn up() -> Vec<(&'static str, carrier_to_seller::Message)> {
    use carrier_to_seller::{Decline, Message as M};
    vec![
        ("Answer", M::Answer {}),
        ("Declined", M::Declined { reason: Decline::NoCamera }),
        ("News up", M::News {}),
        ("Knock", M::Knock {}),
        ("Received", M::Received {}),
        (
            "Position",
            M::Position {
                number: 9,
                at: NOW,
                latitude_e7: 418_902_000,
                longitude_e7: -123_000_000,
                accuracy_m: Some(12),
            },
        ),
        ("CourierAnswer", M::CourierAnswer { challenge: Bytes(b"K7QF".to_vec()), signature: Bytes(vec![8]) }),
    ]
}

fn token() -> seller_to_carrier::Token {
    seller_to_carrier::Token::new("eyJ.eyJ.sig").unwrap()
}

fn window() -> Window {
    Window { from: NOW, to: UnixMillis(NOW.0 + 3_600_000) }
}

fn round_trip<T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + std::fmt::Debug>(value: &T) -> Vec<u8> {
    let bytes = minicbor::to_vec(value).unwrap();
    assert_eq!(minicbor::decode::<T>(&bytes).unwrap(), *value);
    bytes
}

/// Bytes that count up: the same everywhere and for ever, as no real generator promises.
struct Fixed(u8);

impl rand::TryRng for Fixed {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

impl rand::TryCryptoRng for Fixed {}

// === the bytes ===

const FACTS: &[(&str, &str)] = &[
    (
        "Accepted",
        "8200a3005820c306fb0ef2bf8b7f93bad98155fa37daec74db0c4cbeda6c6f1dba9d3655825201582001010101010101010101010101010101010101010101010101010101010101010201",
    ),
    (
        "Rekeyed",
        "8201a2005820c306fb0ef2bf8b7f93bad98155fa37daec74db0c4cbeda6c6f1dba9d365582520158200101010101010101010101010101010101010101010101010101010101010101",
    ),
    ("KeyRotated", "8202a0"),
    (
        "HandedOver",
        "8203a100a800655550435f3101782430303030303031342d303030302d343030302d383030302d303030303030303030303037020303f504f505a2001b000001a3185c5000011b000001a318933e8006a30058205c4d7530d13ba6ed0d7a37df30aa84da1286242f3cbc99024435ba867f30d9f20158209ea3c4ff6c74d7660c19bd9b6996ca3d9c4d77081edd4fa1f1c9da495e5d30900258204bf21e96dda2ad3ce5c8e7a2b09dd13d32ef96297c7c2414e3bb1b1f8ce1bc7807582019e8f3860ede3ea96058543681a22b32f94149ef67f398d223c7b90eb32b845d",
    ),
    (
        "HandedOver, least",
        "8203a100a600655550435f3101782430303030303031342d303030302d343030302d383030302d303030303030303030303037020303f504f506a30058205c4d7530d13ba6ed0d7a37df30aa84da1286242f3cbc99024435ba867f30d9f20158209ea3c4ff6c74d7660c19bd9b6996ca3d9c4d77081edd4fa1f1c9da495e5d30900258204bf21e96dda2ad3ce5c8e7a2b09dd13d32ef96297c7c2414e3bb1b1f8ce1bc78",
    ),
    ("PickedUp", "8204a0"),
    ("Released country", "8205a10000"),
    ("Released postal code", "8205a10001"),
    ("Released door", "8205a20002018200a0"),
    (
        "Released door by scan",
        "8205a20002018201a10058203333333333333333333333333333333333333333333333333333333333333333",
    ),
    (
        "Released door by incident",
        "8205a20002018202a10058203333333333333333333333333333333333333333333333333333333333333333",
    ),
    ("Posted", "8206a200000158203333333333333333333333333333333333333333333333333333333333333333"),
    ("Scanned read", "8207a2008200a100582002020202020202020202020202020202020202020202020202020202020202020101"),
    ("Scanned wrong", "8207a2008201a00119012c"),
    ("Scanned unreadable", "8207a2008202a00102"),
    ("ScanRefused", "8208a10058203333333333333333333333333333333333333333333333333333333333333333"),
    ("IncidentReported", "8209a200040158202222222222222222222222222222222222222222222222222222222222222222"),
    ("Delivered", "820aa10000"),
    ("Delivered with note", "820aa200040158202222222222222222222222222222222222222222222222222222222222222222"),
    ("ProofAttached", "820ba3000001010258203333333333333333333333333333333333333333333333333333333333333333"),
    ("ReceiptProved", "820ca1005003030303030303030303030303030303"),
    ("AttemptFailed", "820da100a3000001000258202222222222222222222222222222222222222222222222222222222222222222"),
    ("Rescheduled", "820ea100a2001b000001a3185c5000011b000001a318933e80"),
    ("Rescheduled, no window", "820ea0"),
    ("AvailableForPickup", "820fa10058202222222222222222222222222222222222222222222222222222222222222222"),
    ("OnHold", "8210a200030158202222222222222222222222222222222222222222222222222222222222222222"),
    ("Resumed", "8211a0"),
    ("Refused", "8212a100a3000001000258202222222222222222222222222222222222222222222222222222222222222222"),
    ("Damaged", "8213a100a200050111"),
    ("Lost", "8214a100a200050111"),
    ("Found", "8215a0"),
    ("Cancelled", "8216a10000"),
    ("ReturnRequested", "8217a10000"),
    ("GivenBack", "821818a0"),
    ("ReturnReceived", "821819a0"),
    (
        "AddressChanged",
        "82181aa100a30058205c4d7530d13ba6ed0d7a37df30aa84da1286242f3cbc99024435ba867f30d9f20158209ea3c4ff6c74d7660c19bd9b6996ca3d9c4d77081edd4fa1f1c9da495e5d30900258204bf21e96dda2ad3ce5c8e7a2b09dd13d32ef96297c7c2414e3bb1b1f8ce1bc78",
    ),
    ("CarrierAssigned", "82181ba10063632d32"),
    (
        "Declared",
        "82181ca3000001696a616e654073686f700258202222222222222222222222222222222222222222222222222222222222222222",
    ),
    ("Countersigned", "82181da10058203333333333333333333333333333333333333333333333333333333333333333"),
    ("Corrected", "82181ea10058203333333333333333333333333333333333333333333333333333333333333333"),
    ("Erased", "82181fa10001"),
    ("Forgotten", "821820a10000"),
];
const MESSAGES: &[(&str, &str)] = &[
    (
        "Hello",
        "8200a50042010201582003030303030303030303030303030303030303030303030303030303030303030201030104a400655550435f3101f502f403a2001b000001a3185c5000011b000001a318933e80",
    ),
    ("HandOver", "8201a0"),
    ("HandOver with label", "8201a100a2000101420405"),
    (
        "Part",
        "8202a30041060158200707070707070707070707070707070707070707070707070707070707070707026b65794a2e65794a2e736967",
    ),
    ("News down", "8203a0"),
    ("Challenge", "8204a200444b375146011b000001a3185c5000"),
    ("Erase", "8205a0"),
    ("Answer", "8200a0"),
    ("Declined", "8201a10000"),
    ("News up", "8202a0"),
    ("Knock", "8203a0"),
    ("Received", "8204a0"),
    ("Position", "8205a50009011b000001a3185c5000021a18f7eff0033a0754d4bf040c"),
    ("CourierAnswer", "8206a200444b375146014108"),
];
const SIGNED: &[(&str, &str)] = &[
    (
        "statement",
        "d2845826a20126045820aa1db825debfeaf1566061083644838a0e4aef32f398691ee7ae762f72ab3272a058bcac000101782430303030303031342d303030302d343030302d383030302d303030303030303030303037026473686f700367747275636b2d370401050006582020828bf5c5bdcacb684863336c202fb5599da48be5596615742170705beca9f7075820bce059bf5b2ab7a91f3e863acf0c84d3ebbe04ca8490094b052b5b15afab174308582042286d3bf2ee29dacf985221731d798a34225e4ce934ebd6bbdc482f19ff22c909010a1b000001a3182561800b1b000001a327cf640058407a44033ec6b0db0549fe0f0babdcacbdb6a3298451d66135cc616af8d98a78de5df00c8e420e5fc4924314d55d858d0fba058c6c12e9b4a5cb4c662fbd6c0224",
    ),
    (
        "first event",
        "d28443a10127a05901dca9000101782464646464646464642d303030302d343030302d383030302d303030303030303030303031020103782430303030303031342d303030302d343030302d383030302d3030303030303030303030370400071b000001a3185c50000801098200a3005820c306fb0ef2bf8b7f93bad98155fa37daec74db0c4cbeda6c6f1dba9d365582520158203d9083a1d2450ca5d5d8966d4f9972cca6792149d3ce57a101e351db668aadf902010a59012bd2845826a20126045820aa1db825debfeaf1566061083644838a0e4aef32f398691ee7ae762f72ab3272a058bcac000101782430303030303031342d303030302d343030302d383030302d303030303030303030303037026473686f700367747275636b2d370401050006582020828bf5c5bdcacb684863336c202fb5599da48be5596615742170705beca9f7075820bce059bf5b2ab7a91f3e863acf0c84d3ebbe04ca8490094b052b5b15afab174308582042286d3bf2ee29dacf985221731d798a34225e4ce934ebd6bbdc482f19ff22c909010a1b000001a3182561800b1b000001a327cf640058407a44033ec6b0db0549fe0f0babdcacbdb6a3298451d66135cc616af8d98a78de5df00c8e420e5fc4924314d55d858d0fba058c6c12e9b4a5cb4c662fbd6c02245840fa9d12beda054aecf25fbae6e4fe5f3aa5de3ade58c710093ef7a6208b3efab1f2351c808eaab177383124f42c70a0cf75711d152179b37a0ee83715591a7c0f",
    ),
    (
        "hand-over",
        "d28443a10127a0590278aa000101782464646464646464642d303030302d343030302d383030302d303030303030303030303031020003782430303030303030612d303030302d343030302d383030302d3030303030303030303030370400065820d3cd1b9b7eb09cb970a8664332ad7037460ea13fdc91e0649a7c33879cd76bce071b000001a3185c53e80801098203a100a700655550435f3101782430303030303031342d303030302d343030302d383030302d303030303030303030303037020303f404f406a30058205c4d7530d13ba6ed0d7a37df30aa84da1286242f3cbc99024435ba867f30d9f20158209ea3c4ff6c74d7660c19bd9b6996ca3d9c4d77081edd4fa1f1c9da495e5d30900258204bf21e96dda2ad3ce5c8e7a2b09dd13d32ef96297c7c2414e3bb1b1f8ce1bc7807582019e8f3860ede3ea96058543681a22b32f94149ef67f398d223c7b90eb32b845d0a590128d2845826a20126045820aa1db825debfeaf1566061083644838a0e4aef32f398691ee7ae762f72ab3272a058b9ac000101782430303030303030612d303030302d343030302d383030302d303030303030303030303037026473686f70036461636d650400050006582043a72e714401762df66b68c26dfbdf2682aaec9f2474eca4613e424a0fbafd3c07582073b2d8b76aa9b53660032bc8f5d8bee3a3ae4e3b3a7fd49ade81f7347a34aa68085820822b33ad87c148a0a20a5ba7cd5ebcaa68d36a18e7aad165554903f52ca8275709010a1b000001a3182561800b1b000001a327cf64005840fad9925cc7c8e1938b000b4c4c1456e8afe3f67a3dd7ee46e02a8e2bc420e85a593a70454c5240c39eafff265c5b5390db7471492b1ea8cde24c4840f8bf7b9358401939a7b9f09370e090775d0da0a67629a2b51672fe6f78069c67e3166749d1a838b35e576a7b8936e22db6c2ad53913f71dd2e9453d7f61b3b5ca94983321800",
    ),
    (
        "later event",
        "d28443a10127a058abaa000101782464646464646464642d303030302d343030302d383030302d303030303030303030303031020103782430303030303031342d303030302d343030302d383030302d3030303030303030303030370401055820d3cd1b9b7eb09cb970a8664332ad7037460ea13fdc91e0649a7c33879cd76bce065820aed0987b482da806a026d0b86fd7b64f128eb1337a3371d42898f09bff88f6fc071b000001a3185c57d00801098204a05840e5a4accdace8f1b170aef8481d5d9786295f6b68a31c52cc2cba98e8517929b20c34a63f7457ae7fd89a6f68ad082be3a2a29165bc49be47d2323fd5b0d97a09",
    ),
    ("later event's id", "4ebf8156fe06fb2d5c0995e026d69cb51481dd156f60ea4a50d7503e06ec3414"),
    (
        "smallest event",
        "a8000101782464646464646464642d303030302d343030302d383030302d30303030303030303030303102020361700401071b000001a3185c57d00801098204a0",
    ),
    (
        "frame",
        "a6000101010201035820070707070707070707070707070707070707070707070707070707070707070704582049e4874e25fe389ed3c9fa2fd09d077907ecc5809c8619e2127128b6a72c7c7a055901833fa3f27a7cc92efa30697db91b20fcf3983781b6a8120852485d8790287cb761221b7025c38ab89487abc058b0b8e2014721149c657b1933b3df04f088b8490baa84170f7ee9470bac4087bda9e6c04bb30bdb7d923e2c13b7bbedb17d2e13353957662421ebe1bee9fac0d56b81f0b5982400c3e3f3349fa195f6e8f1415583bcc81d5b9219d30667b273187433bff40af892d833673f5b3845bf8c3cc398d6a0e798f66fa4531a0852305787fee308102750e1331118596a3b397c87d23e13a93a56838a15eda21278f080e8a70b03fbe7154b4db305e9c6c408d3657e3bdeee8506360ce6c231698b3be7c174003e15c1dfa06f8c0ab3b608aac8df7aa755c48f2c83cebc0cb5d4cbbd219af2159b8dca84eb1f551ec8585fc98edd6173c0227cf36af9eaa87a6bea18facf65e391a12890905765b4963228339c931ace28e8628fa68200429036fc0df9fdd0061ed74ba282933adeea1d5af25034370f131cc75a7914b81da1e693c6661b911d5bc32502d7a6af80ff369a2a7310d77066d0dc5a",
    ),
    (
        "courier check",
        "d28443a10127a05832a4000101782464646464646464642d303030302d343030302d383030302d303030303030303030303031020103444b37514658409dba5c1173f33305392e3a024a712899bcd7e2b860f0be11033099e912879598cae3baa9391ffd8cf99b41acf96b2cab262d34856bdd5294525a49a807f10102",
    ),
];
const DERIVED: &[(&str, &str)] = &[
    ("country part", "8200a300664974616c696101654c617a696f0264526f6d61"),
    ("postal code part", "8201a100653030313138"),
    ("door part", "8202a3006c416461204c6f76656c61636501653720626973026e2b33392030362030303030303030"),
    ("salt of order", "845aa831784b935f1d42c1b815e17faf4b228efde5c2e1a66fc15bc510d50033"),
    ("salt of seller", "8c2d24640970988e08d44ae6f308c1bee27f2c55dad875eea4356c1f76196ee6"),
    ("commitment", "9ea3c4ff6c74d7660c19bd9b6996ca3d9c4d77081edd4fa1f1c9da495e5d3090"),
    ("hello nonce", "3d9083a1d2450ca5d5d8966d4f9972cca6792149d3ce57a101e351db668aadf9"),
    (
        "label code",
        "77617962696c6c3a313a64646464646464642d303030302d343030302d383030302d3030303030303030303030313a6466316230663136356233386636306331613065336433343865666638656361",
    ),
    ("scan mac", "4ff71604302fac6970d2fcf3c7f9efd8bcf0d497ea90dbaef3a0eace6df49f78"),
    (
        "receipt text",
        "77617962696c6c2d726563656970743a313a64646464646464642d303030302d343030302d383030302d3030303030303030303030313a3936346139313131326563646361396361663432383733356661643937383435",
    ),
    ("receipt hash", "19e8f3860ede3ea96058543681a22b32f94149ef67f398d223c7b90eb32b845d"),
    ("courier digits", "303339343936"),
];
const WORDS: [&str; 13] = [
    "00=Recipient 01=Seller 02=Carrier 03=ThirdParty 04=Nature 05=Unknown",
    "00=RecipientAbsent 01=RecipientUnknown 02=RecipientRefused 03=AddressIncomplete 04=AddressNotFound 05=NoAccess 06=IdentityNotProved 07=ParcelDamaged 08=ParcelLost 09=ParcelStolen 0a=ParcelDoesNotFit 0b=WrongParcel 0c=VehicleBreakdown 0d=OutOfTime 0e=Unsafe 0f=Weather 10=Customs 11=Other",
    "00=SellerRequest 01=RecipientRequest 02=CarrierRequest 03=CarrierRevoked 04=CarrierReplaced 05=CarrierKeyLost 06=OrderMissing 07=AddressUnclear 08=Customs 09=Weather 0a=Investigation 0b=Other",
    "00=RecipientRequest 01=SellerRequest 02=OutOfStock 03=AddressInvalid 04=Duplicate 05=Fraud 06=Other",
    "00=AttemptsExhausted 01=Refused 02=Damaged 03=NotCollected 04=AddressInvalid 05=SellerRequest 06=Other",
    "00=LabelUnreadable 01=LabelMismatch 02=CameraBroken 03=ParcelOpened 04=Accident 05=Theft 06=Delay 07=Other",
    "00=Recipient 01=Household 02=Neighbour 03=Mailbox 04=SafePlace 05=PickupPoint",
    "00=Photo 01=Signature 02=Document",
    "00=Jpeg 01=Png",
    "00=Delivered 01=AttemptFailed 02=Refused 03=Damaged 04=Lost 05=Found 06=GivenBack 07=Incident",
    "00=Attempt 01=Delivery",
    "00=Full 01=WhileCommitKeyIsSafe",
    "00=NoCamera 01=NoCapacity 02=OutsideArea 03=WindowTooTight 04=NoCommonVersion 05=Other",
];

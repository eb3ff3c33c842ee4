//! What a good bundle says, and to whom.

use std::process::Command;

use waybill_proof::report::{Answer, Check, Outcome};
use waybill_proof::{WriteError, check};
use waybill_protocol::fact::reason::HoldReason;
use waybill_protocol::{Custody, Fact, Hash, Role};

use crate::world::{Ca, World, add, answers};

#[test]
fn a_whole_delivery_is_proved_with_its_root_and_consistent_without() {
    let world = World::new();
    let bytes = world.whole().write().unwrap();
    let report = answers(&bytes, world.root(), Answer::Proved);
    assert_eq!((report.events, report.phase, report.upc.as_deref()), (10, Some("Delivered"), Some("UPC_1")));
    answers(&bytes, None, Answer::ConsistentRootUnknown);
    answers(&bytes, Some(Hash::of(b"another root")), Answer::Broken);
}

#[test]
fn the_same_content_has_the_same_bytes() {
    let world = World::new();
    let mut other = world.whole();
    other.certificates.reverse();
    assert_eq!(world.whole().write(), other.write());
}

#[test]
fn a_bundle_holds_no_part_of_the_address() {
    let bytes = World::new().whole().write().unwrap();
    assert!(!bytes.windows(6).any(|six| six == b"MARKER"));
}

#[test]
fn every_tool_that_opens_zip_archives_opens_a_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proof.waybill.zip");
    std::fs::write(&file, World::new().whole().write().unwrap()).unwrap();
    let read = "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(*z.namelist())";
    let python = std::env::var("WAYBILL_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(python).args(["-c", read]).arg(&file).output().unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for name in ["index.html", "manifest.json", "log/009.cose", "trust/authorities.pem", "photos/"] {
        assert!(names.contains(name), "{names}");
    }
}

#[test]
fn a_later_authority_is_proved_by_the_first_root_through_its_cross_certificate() {
    let world = World::new();
    let first = Ca::new("first");
    let mut contents = world.whole();
    contents.authorities = first.issuer.pem() + &contents.authorities;
    let alone = contents.write().unwrap();
    answers(&alone, Some(first.fingerprint()), Answer::Broken);
    contents.crosses = first.cross(&world.ca);
    let vouched = contents.write().unwrap();
    answers(&vouched, Some(first.fingerprint()), Answer::Proved);
    answers(&vouched, world.root(), Answer::Proved);
}

#[test]
fn who_holds_the_keys_is_said() {
    let world = World::new();
    let report = check(&world.whole().write().unwrap(), world.root());
    let signers: Vec<&str> =
        report.lines.iter().filter(|line| line.check == Check::Signers).map(|line| line.text.as_str()).collect();
    assert!(signers.iter().any(|line| line.starts_with("Seller acme (managed")), "{signers:?}");
    assert!(signers.iter().any(|line| line.starts_with("Transport truck-7 (external")), "{signers:?}");
}

#[test]
fn a_delivery_under_way_is_proved_as_far_as_it_goes() {
    let world = World::new();
    let report = answers(&world.contents(&world.delivered(5)).write().unwrap(), world.root(), Answer::Proved);
    let end = report.lines.iter().find(|line| line.check == Check::End).unwrap();
    assert_eq!(end.outcome, Outcome::Note);
    assert!(end.text.contains("in transit") && end.text.contains("not over"), "{}", end.text);
}

#[test]
fn junk_a_compromised_service_wrote_is_set_apart_and_takes_nothing_from_the_proof() {
    let world = World::new();
    let mut contents = world.whole();
    contents.log.insert(4, b"junk".to_vec());
    contents.log.insert(7, contents.log[0].clone());
    let report = answers(&contents.write().unwrap(), world.root(), Answer::Proved);
    assert!(report.lines.iter().any(|line| line.text.starts_with("2 entries")), "{:?}", report.lines);
}

#[test]
fn a_picture_that_was_erased_is_missed_and_does_not_break_the_proof() {
    let world = World::new();
    let mut contents = world.whole();
    contents.photos.clear();
    let report = answers(&contents.write().unwrap(), world.root(), Answer::Proved);
    let photos = report.lines.iter().find(|line| line.check == Check::Photos).unwrap();
    assert_eq!(photos.outcome, Outcome::Note);
}

#[test]
fn a_revoked_certificate_is_told_and_what_stood_before_counts() {
    let world = World::new();
    let mut contents = world.whole();
    contents.revocations = world.ca.revoked(&[20; 8]);
    let report = answers(&contents.write().unwrap(), world.root(), Answer::Proved);
    assert!(report.lines.iter().any(|line| line.text.contains("truck-7 was revoked")), "{:?}", report.lines);
}

#[test]
fn what_a_carrier_signs_after_its_revocation_is_not_part_of_a_proof() {
    let world = World::new();
    let mut log = world.delivered(5);
    let after = log.sign(&world.carrier.signer, crate::world::picture(b"late"), crate::world::NOW);
    add(&mut log, &world.seller.signer, Fact::OnHold { reason: HoldReason::CarrierRevoked, note: None });
    let mut contents = world.contents(&log);
    contents.log.push(after.unwrap().bytes().to_vec());
    let report = answers(&contents.write().unwrap(), world.root(), Answer::Proved);
    assert_eq!((report.events, report.phase), (6, Some("OnHold")));
}

#[test]
fn nothing_is_written_that_could_not_be_checked() {
    let world = World::new();
    let mut foreign = world.whole();
    foreign.authorities = Ca::new("other").issuer.pem();
    assert_eq!(foreign.write(), Err(WriteError::NothingGenuine));
    let mut none = world.whole();
    none.authorities.clear();
    assert!(matches!(none.write(), Err(WriteError::Authorities(_))));
    let mut another = world.whole();
    another.photos[0].bytes.push(0);
    assert!(matches!(another.write(), Err(WriteError::ForeignPhoto { .. })));
}

#[test]
fn a_rotated_participant_of_another_namespace_is_nobody() {
    let world = World::new();
    let stranger = world.ca.participant("stranger", Role::Carrier, 40, Custody::Managed);
    let mut contents = world.whole();
    contents.certificates.push((stranger.signer.uid().clone(), stranger.leaf));
    let report = answers(&contents.write().unwrap(), world.root(), Answer::Proved);
    assert!(report.lines.iter().any(|line| line.text.contains("none of the key statements names")));
}

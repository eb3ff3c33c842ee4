//! What a check says when somebody had a hand in it: what is wrong, and where.

use std::collections::BTreeMap;

use serde_json::Value;
use waybill_proof::check;
use waybill_proof::report::Answer;
use waybill_protocol::Hash;

use crate::world::{Ca, World, answers, fails_at, failures};

type Files = BTreeMap<String, Vec<u8>>;

/// A forger's own archive: of the right form, with the manifest made to fit.
fn forged(files: &Files) -> Vec<u8> {
    let mut files = files.clone();
    let mut manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let listed: Vec<Value> = files
        .iter()
        .filter(|(name, _)| *name != "manifest.json")
        .map(|(name, bytes)| serde_json::json!({"path": name, "size": bytes.len(), "sha256": Hash::of(bytes).to_string()}))
        .collect();
    manifest["files"] = listed.into();
    files.insert("manifest.json".into(), in_order(&manifest));
    archive(&files)
}

/// The manifest with its members in the order of the format.
fn in_order(manifest: &Value) -> Vec<u8> {
    let text = |value: &Value| serde_json::to_string(value).unwrap();
    let about = &manifest["delivery"];
    let about: Vec<String> = ["uid", "namespace", "name", "upc", "seller"]
        .iter()
        .map(|key| format!("    \"{key}\": {}", text(&about[*key])))
        .collect();
    let files: Vec<String> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let members: Vec<String> =
                ["path", "size", "sha256"].iter().map(|key| format!("      \"{key}\": {}", text(&one[*key]))).collect();
            format!("    {{\n{}\n    }}", members.join(",\n"))
        })
        .collect();
    format!(
        "{{\n  \"format\": {},\n  \"version\": {},\n  \"page\": {},\n  \"delivery\": {{\n{}\n  }},\n  \"files\": [\n{}\n  ]\n}}\n",
        text(&manifest["format"]),
        text(&manifest["version"]),
        text(&manifest["page"]),
        about.join(",\n"),
        files.join(",\n")
    )
    .into_bytes()
}

/// The archive as docs/bundle-format.md says, written a second time: a forger has no key to our code.
fn archive(files: &Files) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in files {
        let mut shared = vec![10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        shared.extend(crc32fast::hash(content).to_le_bytes());
        shared.extend((content.len() as u32).to_le_bytes());
        shared.extend((content.len() as u32).to_le_bytes());
        shared.extend((name.len() as u16).to_le_bytes());
        shared.extend([0, 0]);
        let offset = bytes.len() as u32;
        bytes.extend([b"PK\x03\x04", &shared[..], name.as_bytes(), content].concat());
        directory.extend([b"PK\x01\x02\x0a\x03", &shared[..], &[0; 6]].concat());
        directory.extend([0, 0, 0xa4, 0x81]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, size, offset) = ((files.len() as u16).to_le_bytes(), directory.len() as u32, bytes.len() as u32);
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count].concat());
    bytes.extend([size.to_le_bytes(), offset.to_le_bytes()].concat());
    bytes.extend([0, 0]);
    bytes
}

fn unpacked(bytes: &[u8]) -> Files {
    let word = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0_usize, |word, byte| word << 8 | usize::from(*byte))
    };
    let (mut files, mut at) = (Files::new(), 0);
    while bytes[at..].starts_with(b"PK\x03\x04") {
        let (size, name) = (word(at + 18, 4), word(at + 26, 2));
        let start = at + 30 + name;
        files.insert(String::from_utf8(bytes[at + 30..start].to_vec()).unwrap(), bytes[start..start + size].to_vec());
        at = start + size;
    }
    files
}

/// A bundle and the forger's tools: what happens to its files, and what the check says then.
fn tampered(change: impl FnOnce(&World, &mut Files)) -> waybill_proof::report::Report {
    let world = World::new();
    let mut files = unpacked(&world.whole().write().unwrap());
    change(&world, &mut files);
    let report = check(&forged(&files), world.root());
    assert_eq!(report.answer, Answer::Broken, "{report:#?}");
    report
}

fn photo(files: &Files) -> String {
    files.keys().find(|name| name.starts_with("photos/")).unwrap().clone()
}

#[test]
fn the_forgers_tools_make_a_good_bundle_when_nothing_is_forged() {
    let world = World::new();
    let bytes = world.whole().write().unwrap();
    assert_eq!(forged(&unpacked(&bytes)), bytes);
}

#[test]
fn no_turned_bit_passes() {
    let world = World::new();
    let bytes = world.whole().write().unwrap();
    // Every byte of an archive is tried next to its reader; here the whole check is, on a share of them.
    for at in (0..bytes.len()).step_by(31) {
        let mut bent = bytes.clone();
        bent[at] ^= 1 << (at % 8);
        assert_eq!(check(&bent, world.root()).answer, Answer::Broken, "byte {at}");
    }
}

#[test]
fn a_bit_in_the_photo_is_found_with_or_without_a_new_manifest() {
    let mut name = String::new();
    let report = tampered(|_, files| {
        name = photo(files);
        files.get_mut(&name).unwrap()[4] ^= 1;
    });
    fails_at(&report, &name, "not the picture that was signed for");

    let world = World::new();
    let mut bytes = world.whole().write().unwrap();
    let place = bytes.windows(9).position(|some| some == b"a picture").unwrap();
    bytes[place] ^= 1;
    let report = answers(&bytes, world.root(), Answer::Broken);
    fails_at(&report, &name, "it was changed");
}

#[test]
fn another_picture_is_nobodys() {
    let report = tampered(|_, files| {
        let other = b"another".to_vec();
        files.insert(format!("photos/{}.jpg", Hash::of(&other)), other);
    });
    assert!(failures(&report).iter().any(|(_, text)| text == "no event names this picture"));
}

#[test]
fn a_dropped_event_leaves_a_gap() {
    let report = tampered(|_, files| drop(files.remove("log/004.cose")));
    fails_at(&report, "log/005.cose", "log/004.cose of the log is missing");
    let report = tampered(|_, files| {
        for at in 4..9 {
            let next = files[&format!("log/{:03}.cose", at + 1)].clone();
            files.insert(format!("log/{at:03}.cose"), next);
        }
        files.remove("log/009.cose");
    });
    fails_at(&report, "log/005.cose", "has number 2, this has 3");
}

#[test]
fn swapped_events_are_found() {
    let report = tampered(|_, files| {
        let (three, four) = (files["log/003.cose"].clone(), files["log/004.cose"].clone());
        files.insert("log/003.cose".into(), four);
        files.insert("log/004.cose".into(), three);
    });
    fails_at(&report, "log/003.cose", "seen");
}

#[test]
fn a_bit_of_an_event_is_found() {
    let report = tampered(|_, files| {
        let event = files.get_mut("log/006.cose").unwrap();
        let last = event.len() - 1;
        event[last] ^= 1;
    });
    fails_at(&report, "log/006.cose", "signature is not its author's");
}

#[test]
fn an_event_that_somebody_else_signed_is_found() {
    let report = tampered(|_, files| {
        // The same said under another authority.
        let twin = World::new().delivered(10);
        files.insert("log/002.cose".into(), twin.entries()[2].bytes().to_vec());
    });
    fails_at(&report, "log/002.cose", "does not follow its author's last one");
    let report = tampered(|world, files| {
        // What was said, said again by a key that nobody vouched for.
        let log = world.delivered(1);
        let event = log.entries()[0].event().unwrap().event().clone();
        let signed =
            waybill_protocol::SignedEvent::sign(event, &ed25519_dalek::SigningKey::from_bytes(&[99; 32])).unwrap();
        files.insert("log/000.cose".into(), signed.bytes().to_vec());
    });
    fails_at(&report, "log/000.cose", "signature is not its author's");
}

#[test]
fn an_event_of_another_delivery_is_found() {
    let report = tampered(|_, files| {
        let manifest = String::from_utf8(files["manifest.json"].clone()).unwrap();
        files.insert("manifest.json".into(), manifest.replace("-000000000001\"", "-000000000002\"").into_bytes());
    });
    fails_at(&report, "log/000.cose", "of delivery dddddddd-0000-4000-8000-000000000001");
}

#[test]
fn a_log_cut_off_against_its_manifest_is_found_and_one_cut_cleanly_says_that_it_does_not_end() {
    let world = World::new();
    let mut files = unpacked(&world.whole().write().unwrap());
    files.remove("log/009.cose");
    let report = answers(&archive(&files), world.root(), Answer::Broken);
    fails_at(&report, "log/009.cose", "missing");
    // Whoever writes a whole bundle anew of an earlier log proves what was true then; the end says so.
    let earlier = answers(&world.contents(&world.delivered(8)).write().unwrap(), world.root(), Answer::Proved);
    assert!(earlier.lines.iter().any(|line| line.text.contains("cut off")));
}

#[test]
fn another_authority_and_a_list_nobody_signed_are_found() {
    let report =
        tampered(|_, files| drop(files.insert("trust/authorities.pem".into(), Ca::new("x").issuer.pem().into())));
    fails_at(&report, "trust/authorities.pem", "do not lead to the root");
    let report = tampered(|_, files| drop(files.insert("trust/crl.pem".into(), Ca::new("x").revoked(&[20; 8]).into())));
    fails_at(&report, "trust/crl.pem", "no authority of the bundle signed this list");
}

#[test]
fn a_page_that_says_something_else_is_found() {
    let report = tampered(|_, files| {
        let page = String::from_utf8(files["index.html"].clone()).unwrap();
        files.insert("index.html".into(), page.replace("delivered", "returned").into_bytes());
    });
    fails_at(&report, "index.html", "not the one that follows from this log");
}

#[test]
fn another_upc_than_the_signed_one_is_found() {
    let report = tampered(|_, files| {
        let manifest = String::from_utf8(files["manifest.json"].clone()).unwrap();
        files.insert("manifest.json".into(), manifest.replace("UPC_1", "UPC_2").into_bytes());
    });
    fails_at(&report, "manifest.json", "another UPC");
}

#[test]
fn a_file_nobody_expects_is_found() {
    let world = World::new();
    let mut files = unpacked(&world.whole().write().unwrap());
    files.insert("extra.txt".into(), b"hello".to_vec());
    fails_at(&check(&archive(&files), world.root()), "extra.txt", "does not list");
}

#[test]
fn junk_is_answered_and_never_panics() {
    for junk in [&b""[..], b"PK", b"PK\x03\x04", &[0xff; 4096], b"PK\x05\x06"] {
        assert_eq!(check(junk, None).answer, Answer::Broken);
    }
}

//! Is it true? Every check of a bundle, in the order in which the next one needs the last.
//!
//! Nothing is fetched and nothing of the bundle is believed for standing in it: the authorities count if they lead to the root the
//! caller brings, the events if an authority's statement names their key, the pictures if an event names their hash.

use std::collections::{BTreeMap, BTreeSet};

use waybill_protocol::fact::reason::EvidenceKind;
use waybill_protocol::{Author, Custody, Entry, Fact, Hash, KeyStatement, Log, Phase, Trust, Verdict};

use crate::archive::{self, Files};
use crate::authority::{self, Authorities};
use crate::bundle::{self, Manifest};
use crate::page;
use crate::report::{Answer, Check, Lines, Report};
use crate::words;

/// Checks a bundle against the SHA-256 of the root authority's certificate, or without one against itself.
pub fn check(bytes: &[u8], root: Option<Hash>) -> Report {
    let mut lines = Lines::default();
    let log = read(bytes, &mut lines).and_then(|(files, manifest)| contents(&files, &manifest, root, &mut lines));
    let answer = match root {
        _ if !lines.all_fine() || log.is_none() => Answer::Broken,
        Some(_) => Answer::Proved,
        None => Answer::ConsistentRootUnknown,
    };
    let genuine = |log: &Log| log.entries().iter().filter(|entry| entry.verdict().is_genuine()).count();
    Report {
        answer,
        events: log.as_ref().map_or(0, genuine),
        bundle: Hash::of(bytes).to_string(),
        phase: log.as_ref().map(|log| log.phase().as_str()),
        upc: log.as_ref().and_then(|log| Some(log.state().terms()?.upc.as_str().to_owned())),
        lines: lines.into_vec(),
    }
}

/// The archive and its manifest: the same files, the same bytes.
fn read(bytes: &[u8], lines: &mut Lines) -> Option<(Files, Manifest)> {
    let found = archive::read(bytes).map_err(|error| lines.fails(Check::Archive, error.to_string())).ok()?;
    match found.form {
        Ok(()) => lines.holds(Check::Archive, format!("{} files, in the one form a bundle has", found.files.len())),
        Err(error) => lines.fails(Check::Archive, error.to_string()),
    }
    let manifest =
        manifest(&found.files).map_err(|text| lines.fails_at(Check::Manifest, bundle::MANIFEST, text)).ok()?;
    compare(&found.files, &manifest, lines);
    Some((found.files, manifest))
}

fn manifest(files: &Files) -> Result<Manifest, String> {
    let bytes = files.get(bundle::MANIFEST).ok_or("the bundle has no manifest")?;
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|error| format!("the manifest cannot be read: {error}"))?;
    if manifest.format != bundle::FORMAT || manifest.version != bundle::VERSION {
        return Err(format!("this checker knows version {} of {}, not this one", bundle::VERSION, bundle::FORMAT));
    }
    if manifest.bytes() == *bytes { Ok(manifest) } else { Err("the manifest is not in its one form".into()) }
}

fn compare(files: &Files, manifest: &Manifest, lines: &mut Lines) {
    let listed: BTreeMap<&str, &bundle::Listed> =
        manifest.files.iter().map(|listed| (listed.path.as_str(), listed)).collect();
    for (name, content) in files.iter().filter(|(name, _)| *name != bundle::MANIFEST) {
        match listed.get(name.as_str()) {
            None => lines.fails_at(Check::Manifest, name, "the manifest does not list this file"),
            Some(listed) if listed.sha256 != Hash::of(content).to_string() || listed.size != content.len() as u64 => {
                lines.fails_at(Check::Manifest, name, "its bytes are not those the manifest lists: it was changed");
            }
            Some(_) => {}
        }
    }
    for name in listed.keys().filter(|name| !files.contains_key(**name)) {
        lines.fails_at(Check::Manifest, *name, "the manifest lists this file and it is missing");
    }
    if lines.fine(Check::Manifest) {
        lines.holds(Check::Manifest, "every file is listed, and is what the manifest lists");
    }
}

fn contents(files: &Files, manifest: &Manifest, root: Option<Hash>, lines: &mut Lines) -> Option<Log> {
    let of = |name: &str| files.get(name).map_or(&[][..], Vec::as_slice);
    let authorities = Authorities::read(of(bundle::AUTHORITIES), of(bundle::CROSSES))
        .map_err(|error| lines.fails_at(Check::Root, bundle::AUTHORITIES, error.to_string()))
        .ok()?;
    let trust = trust(&authorities, root, lines);
    let log = log(files, manifest, &trust, lines)?;
    let signers = signers(&log);
    who_signed(&signers, lines);
    photos(files, &log, lines);
    certificates(files, &authorities, &signers, lines);
    page_is_the_logs(files, manifest, &log, lines);
    left_out(files, lines);
    end(&log, lines);
    Some(log)
}

fn trust(authorities: &Authorities, root: Option<Hash>, lines: &mut Lines) -> Trust {
    let Some(root) = root else {
        let known: Vec<String> = authorities.own.iter().map(|own| own.fingerprint.to_string()).collect();
        let text = format!("no root was given; compare with one you know: {}", known.join(", "));
        lines.note(Check::Root, text);
        return Authorities::trust(&authorities.own);
    };
    let leading = authorities.leading_to(root);
    if leading.is_empty() {
        let text = format!("the bundle's authorities do not lead to the root {root}");
        lines.fails_at(Check::Root, bundle::AUTHORITIES, text);
        // What else is wrong can be told all the same.
        return Authorities::trust(&authorities.own);
    }
    let text = format!("{} of {} authorities lead to the root {root}", leading.len(), authorities.own.len());
    lines.holds(Check::Root, text);
    Authorities::trust(leading)
}

/// The entries in the order of their names, which is that of the log.
fn log(files: &Files, manifest: &Manifest, trust: &Trust, lines: &mut Lines) -> Option<Log> {
    let subject = manifest.delivery.subject();
    let subject = subject.map_err(|error| lines.fails_at(Check::Manifest, bundle::MANIFEST, error.to_string())).ok()?;
    let entries: Vec<(&String, &Vec<u8>)> = files.iter().filter(|(name, _)| name.starts_with("log/")).collect();
    for (at, (name, _)) in entries.iter().enumerate() {
        if **name != bundle::entry_name(at) {
            lines.fails_at(Check::Log, *name, format!("entry {} of the log is missing", bundle::entry_name(at)));
            break;
        }
    }
    let log = Log::read(subject, trust, entries.iter().map(|(_, bytes)| bytes.as_slice()));
    for (at, entry) in log.entries().iter().enumerate() {
        judged(entries[at].0, entry, lines);
    }
    let forms = log.state().terms().is_none_or(|terms| terms.upc.as_str() == manifest.delivery.upc);
    if !forms {
        lines.fails_at(Check::Manifest, bundle::MANIFEST, "it names another UPC than the signed terms do");
    }
    if lines.fine(Check::Log) {
        let chains: BTreeSet<_> =
            log.entries().iter().filter_map(Entry::event).map(|one| (one.event().author, &one.event().uid)).collect();
        let text = format!(
            "{} events in {} chains: every signature is its author's, none is missing in between",
            log.entries().len(),
            chains.len()
        );
        lines.holds(Check::Log, text);
    }
    Some(log)
}

fn judged(name: &str, entry: &Entry, lines: &mut Lines) {
    let said = || match entry.event().map(|signed| signed.event()) {
        Some(event) => format!("{} {} ({})", event.author, event.seq, event.kind()),
        None => "an entry".into(),
    };
    match entry.verdict() {
        Verdict::Counts(_) => {}
        Verdict::Refused(refusal) => {
            lines.note_at(Check::Log, name, format!("{} was said and changes nothing: {refusal}", said()))
        }
        Verdict::Invalid(invalid) => lines.fails_at(Check::Log, name, format!("{}: {invalid}", said())),
    }
}

/// The statements of everyone who signed, the latest of each.
fn signers(log: &Log) -> Vec<(Author, KeyStatement)> {
    let authors: BTreeSet<_> = log
        .entries()
        .iter()
        .filter(|entry| entry.verdict().is_genuine())
        .filter_map(Entry::event)
        .map(|signed| (signed.event().author, signed.event().uid.clone()))
        .collect();
    authors.iter().filter_map(|(author, uid)| Some((*author, log.statement_of(*author, uid)?.clone()))).collect()
}

fn who_signed(signers: &[(Author, KeyStatement)], lines: &mut Lines) {
    for (author, statement) in signers {
        let custody = match statement.custody {
            Custody::External => "external: the key was never in the cluster",
            Custody::Managed => "managed: whoever may read the namespace's Secrets could sign too",
        };
        lines.note(Check::Signers, format!("{author} {} ({custody})", statement.name));
    }
}

/// Every picture the log names, and no other.
fn photos(files: &Files, log: &Log, lines: &mut Lines) {
    let mut named = BTreeSet::new();
    let mut shown = 0;
    for (hash, media) in pictures(log) {
        let name = bundle::photo_path(&hash, media);
        match files.get(&name) {
            None => lines.note_at(
                Check::Photos,
                &name,
                "the log names this picture; it is not in the bundle (erased or withheld)",
            ),
            Some(bytes) if Hash::of(bytes) != hash => {
                lines.fails_at(Check::Photos, &name, "this is not the picture that was signed for: it was changed");
            }
            Some(_) => shown += 1,
        }
        named.insert(name);
    }
    for name in files.keys().filter(|name| name.starts_with("photos/") && !named.contains(*name)) {
        lines.fails_at(Check::Photos, name, "no event names this picture");
    }
    if shown > 0 && lines.fine(Check::Photos) {
        lines.holds(
            Check::Photos,
            format!("{shown} of {} pictures are here, byte for byte what was signed for", named.len()),
        );
    }
}

/// The pictures that events name which count.
pub fn pictures(log: &Log) -> impl Iterator<Item = (Hash, waybill_protocol::fact::reason::Media)> {
    let counting = log.entries().iter().filter(|entry| entry.verdict().counts()).filter_map(Entry::event);
    counting.filter_map(|signed| match signed.event().fact {
        Fact::ProofAttached { kind: EvidenceKind::Photo, media, sha256 } => Some((sha256, media)),
        _ => None,
    })
}

/// TLS certificates and revocation lists: not needed for the proof, so what they say beyond it is a note; forged ones fail.
fn certificates(files: &Files, authorities: &Authorities, signers: &[(Author, KeyStatement)], lines: &mut Lines) {
    let mut revoked = BTreeSet::new();
    if let Some(pem) = files.get(bundle::REVOCATIONS) {
        match authority::revocations(pem) {
            Err(error) => lines.fails_at(Check::Revocations, bundle::REVOCATIONS, error.to_string()),
            Ok(lists) => lists.iter().for_each(|list| match authorities.signer_of(list) {
                None => lines.fails_at(
                    Check::Revocations,
                    bundle::REVOCATIONS,
                    "no authority of the bundle signed this list",
                ),
                Some(by) => {
                    lines.holds(
                        Check::Revocations,
                        format!("list {} of {} is signed: {} revoked", list.number, by.common_name, list.serials.len()),
                    );
                    revoked.extend(list.serials.iter().cloned());
                }
            }),
        }
    }
    for (name, pem) in files.iter().filter(|(name, _)| name.starts_with("certificates/")) {
        let leaf = match authority::certificates(pem).map(|chain| chain.into_iter().next()) {
            Ok(Some(leaf)) => leaf,
            Ok(None) => continue,
            Err(error) => {
                lines.fails_at(Check::Certificates, name, error.to_string());
                continue;
            }
        };
        let signer = signers.iter().find(|(_, statement)| statement.tls_spki_sha256 == leaf.spki);
        match (authorities.issuer_of(&leaf), signer) {
            (None, _) => {
                lines.fails_at(Check::Certificates, name, "no authority of the bundle issued this certificate")
            }
            (Some(_), None) => {
                lines.note_at(Check::Certificates, name, "a certificate that none of the key statements names")
            }
            (Some(_), Some((author, statement))) if revoked.contains(&leaf.serial) => {
                lines.note_at(
                    Check::Certificates,
                    name,
                    format!(
                        "the certificate of {author} {} was revoked; what it signed before the seller's hold counts",
                        statement.name
                    ),
                );
            }
            (Some(_), Some((author, statement))) => {
                lines.holds(
                    Check::Certificates,
                    format!("the certificate of {author} {} belongs to its key statement", statement.name),
                );
            }
        }
    }
}

/// The page is for people who check nothing: it has to say what the log says.
fn page_is_the_logs(files: &Files, manifest: &Manifest, log: &Log, lines: &mut Lines) {
    let Some(shown) = files.get(bundle::PAGE) else {
        return lines.note(Check::Page, "the bundle has no page");
    };
    if manifest.page != page::VERSION {
        let text =
            format!("version {} of the page is not known here: believe these lines, not the page", manifest.page);
        return lines.note_at(Check::Page, bundle::PAGE, text);
    }
    let others: Vec<&str> =
        bundle::names(files).into_iter().filter(|name| ![bundle::PAGE, bundle::MANIFEST].contains(name)).collect();
    if page::render(&manifest.delivery, log, &others).as_bytes() == shown.as_slice() {
        lines.holds(Check::Page, "the page says what the log says");
    } else {
        lines.fails_at(Check::Page, bundle::PAGE, "the page is not the one that follows from this log");
    }
}

fn left_out(files: &Files, lines: &mut Lines) {
    let count = files.keys().filter(|name| name.starts_with("left-out/")).count();
    if count > 0 {
        lines.note(
            Check::Log,
            format!(
                "{count} entries of the cluster's log were nobody's word and are set apart; nothing is read from them"
            ),
        );
    }
}

fn end(log: &Log, lines: &mut Lines) {
    let phase = log.phase();
    let text = format!("the log ends with the parcel {}", words::phase(phase));
    if phase.is_terminal() {
        lines.holds(Check::End, text);
    } else {
        lines.note(Check::End, format!("{text}: the delivery was not over, or the end of the log was cut off"));
    }
    if phase == Phase::Delivered
        && log.state().proofs().is_empty()
        && log.state().terms().is_some_and(|terms| terms.photo)
    {
        lines.note(Check::End, "a picture was agreed on and the log names none");
    }
}

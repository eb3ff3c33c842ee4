//! `docs/proof-format.md` shows the table the machine goes by, and names every fact and word.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use std::{env, fs, path::Path};

use waybill_protocol::{
    Author, Kind,
    fact::reason::*,
    machine::{Late, Need, Of, OnHold, Row, StageAfter, TABLE, To},
};

const UPDATE: &str = "WAYBILL_UPDATE=1 cargo test -p waybill-protocol --test document";

#[test]
fn the_document_shows_the_table_and_the_needs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/proof-format.md");
    let document = fs::read_to_string(&path).unwrap();
    let made = replaced(&replaced(&document, "table", &table()), "needs", &needs());
    if env::var_os("WAYBILL_UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == made, "docs/proof-format.md has drifted: {UPDATE}");
}

#[test]
fn the_document_names_every_fact_and_every_word() {
    let document = include_str!("../../../docs/proof-format.md");
    for kind in Kind::ALL {
        let row = format!("| {} | {kind} |", kind.number());
        assert!(document.contains(&row), "{row}");
    }
    let endings = &document[document.find("Endings:").unwrap()..document.find("3. `delivery`").unwrap()];
    for kind in Kind::ALL {
        let named = endings.split(|c: char| !c.is_alphanumeric()).any(|word| word == kind.as_str());
        assert_eq!(named, kind.is_ending(), "{kind}");
    }
    let lists = [
        ("Cause", words(Cause::ALL)),
        ("Happening", words(Happening::ALL)),
        ("HoldReason", words(HoldReason::ALL)),
        ("CancelReason", words(CancelReason::ALL)),
        ("ReturnReason", words(ReturnReason::ALL)),
        ("Incident", words(Incident::ALL)),
        ("DeliveredTo", words(DeliveredTo::ALL)),
        ("EvidenceKind", words(EvidenceKind::ALL)),
        ("Media", words(Media::ALL)),
        ("DeclaredFact", words(DeclaredFact::ALL)),
        ("ErasedScope", words(ErasedScope::ALL)),
        ("Guarantee", words(Guarantee::ALL)),
    ];
    for (list, words) in lists {
        assert!(document.contains(&format!("| {list} | {words} |")), "{list}: {words}");
    }
}

// === what is generated ===

fn table() -> String {
    let head = "| fact | of | by | in phase | leads to | stage after | needs | on hold | late | correctable |\n|---|---|---|---|---|---|---|---|---|---|";
    let rows: Vec<String> = TABLE.iter().map(line).collect();
    format!("{head}\n{}", rows.join("\n"))
}

fn line(row: &Row) -> String {
    let of = match row.of {
        Of::All => String::new(),
        Of::Stage(stage) => stage.to_string(),
        Of::Declared(fact) => fact.to_string(),
    };
    let to = match row.to {
        To::Phase(phase) => phase.to_string(),
        To::Stays => "stays".to_owned(),
        To::Hold => "stays (a hold lies over it)".to_owned(),
        To::Resume => "stays (the hold ends)".to_owned(),
        To::Before => "before the corrected step".to_owned(),
    };
    let from = if row.from.len() == 16 { "any".to_owned() } else { join(row.from.iter()) };
    let late = if row.by.contains(&Author::Transport) { late(row.late) } else { "" };
    let needs = join(row.needs.iter().map(|need| format!("{need:?}")));
    let correctable = if row.correctable { "yes" } else { "" };
    let (by, stage) = (join(row.by.iter()), stage_after(row.stage));
    let on_hold = match row.on_hold {
        OnHold::Refused => "refused",
        OnHold::Stays => "stays",
        OnHold::Ends => "ends",
    };
    format!("| {} | {of} | {by} | {from} | {to} | {stage} | {needs} | {on_hold} | {late} | {correctable} |", row.kind)
}

fn late(late: Late) -> &'static str {
    match late {
        Late::Noted => "noted",
        Late::Counts => "counts",
    }
}

fn stage_after(stage: StageAfter) -> &'static str {
    match stage {
        StageAfter::Stays => "stays",
        StageAfter::Closed => "closed",
        StageAfter::Begins => "begins",
        StageAfter::Opens => "opens",
        StageAfter::Narrows => "narrows",
        StageAfter::Before => "before the corrected step",
    }
}

fn needs() -> String {
    let rows: Vec<String> =
        Need::ALL.iter().map(|need| format!("| {need:?} | {} | {} |", need.says(), need.refusal())).collect();
    format!("| need | holds if | else |\n|---|---|---|\n{}", rows.join("\n"))
}

fn words<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn join<T: ToString>(items: impl Iterator<Item = T>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn replaced(document: &str, what: &str, made: &str) -> String {
    let begin = document.find(&format!("<!-- begin: {what}")).unwrap();
    let begin = begin + document[begin..].find("-->\n").unwrap() + 4;
    let end = document.find(&format!("<!-- end: {what} -->")).unwrap();
    format!("{}{made}\n{}", &document[..begin], &document[end..])
}

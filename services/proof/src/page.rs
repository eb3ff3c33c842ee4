//! The page of a bundle: what it proves, in plain words, for whoever opens the archive and checks nothing. Printable; no script, nothing
//! fetched. A function of the log alone, so that a checker can tell whether the page says what the log says.

use askama::Template;
use waybill_protocol::{Author, Custody, Entry, Log, Verdict};

use crate::bundle::{About, photo_path};
use crate::check::pictures;
use crate::words;

/// Of the page's words and form. Grows with every change of either.
pub(crate) const VERSION: u16 = 1;

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'p> {
    about: &'p About,
    phase: &'static str,
    finished: bool,
    delivered: bool,
    receipt: bool,
    events: Vec<Row>,
    signers: Vec<Signer>,
    photos: Vec<Shown>,
    stages: Vec<&'static str>,
    external: bool,
}

struct Row {
    number: usize,
    at: String,
    said: String,
    counts: bool,
    id: String,
    author: &'static str,
}

struct Signer {
    role: &'static str,
    name: String,
    external: bool,
    key: String,
}

struct Shown {
    path: String,
    hash: String,
    here: bool,
}

/// `files` are the names of everything else in the bundle.
pub(crate) fn render(about: &About, log: &Log, files: &[&str]) -> String {
    let state = log.state();
    let signers = signers(log);
    let page = Page {
        about,
        phase: words::phase(log.phase()),
        finished: log.phase().is_terminal(),
        delivered: log.phase() == waybill_protocol::Phase::Delivered,
        receipt: state.receipt_proved(),
        events: log.entries().iter().enumerate().filter_map(row).collect(),
        external: signers.iter().any(|signer| signer.external),
        signers,
        photos: pictures(log)
            .map(|(hash, media)| {
                let path = photo_path(&hash, media);
                Shown { here: files.contains(&path.as_str()), path, hash: hash.to_string() }
            })
            .collect(),
        stages: released(log),
    };
    page.render().expect("a page without I/O is always written")
}

fn row((at, entry): (usize, &Entry)) -> Option<Row> {
    let signed = entry.event()?;
    let event = signed.event();
    Some(Row {
        number: at + 1,
        at: words::time(event.at),
        said: words::event(event),
        counts: matches!(entry.verdict(), Verdict::Counts(_)),
        id: signed.id().to_string(),
        author: author(event.author),
    })
}

fn signers(log: &Log) -> Vec<Signer> {
    let mut signers: Vec<Signer> = Vec::new();
    for signed in log.entries().iter().filter_map(Entry::event) {
        let event = signed.event();
        let Some(statement) = log.statement_of(event.author, &event.uid) else { continue };
        let key = hex::encode(statement.ed25519.as_bytes());
        if !signers.iter().any(|known| known.key == key) {
            let external = statement.custody == Custody::External;
            signers.push(Signer { role: author(event.author), name: statement.name.to_string(), external, key });
        }
    }
    signers
}

/// The parts of the address the carrier was told, in the order it was told.
fn released(log: &Log) -> Vec<&'static str> {
    let mut stages = Vec::new();
    for signed in log.entries().iter().filter(|entry| entry.verdict().counts()).filter_map(Entry::event) {
        if let waybill_protocol::Fact::Released { stage, .. } = signed.event().fact
            && !stages.contains(&words::part(stage))
        {
            stages.push(words::part(stage));
        }
    }
    stages
}

const fn author(author: Author) -> &'static str {
    match author {
        Author::Seller => "Seller",
        Author::Transport => "Carrier",
        Author::Person => "Carrier API, for a person",
    }
}

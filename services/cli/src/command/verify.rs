//! Checks a proof bundle with nothing but the file and, to be sure of it, the root's fingerprint.

use std::path::PathBuf;

use clap::ValueEnum;
use waybill_proof::report::{Answer, Outcome, Report};
use waybill_protocol::Hash;

use crate::code;
use crate::error::Error;
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle
    file: PathBuf,
    /// The SHA-256 of the root authority's certificate, in hexadecimal: from somewhere you trust, not from who sent the bundle
    #[arg(long, value_name = "FINGERPRINT", value_parser = fingerprint)]
    root: Option<Hash>,
    /// A document instead of lines
    #[arg(short, long)]
    output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Json,
}

/// 64 hexadecimal digits; colons, as openssl writes them, are passed over.
pub(crate) fn fingerprint(text: &str) -> Result<Hash, String> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    let plain = digits.iter().all(u8::is_ascii_hexdigit);
    let bytes = bytes.filter(|_| plain && digits.len() == 64).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Hash).ok_or_else(|| "a fingerprint is a SHA-256: 64 hexadecimal digits".into())
}

pub(crate) fn run(args: &Args) -> Result<u8, Error> {
    let file = |source| Error::File { verb: "read", path: args.file.clone(), source };
    let size = std::fs::metadata(&args.file).map_err(file)?.len();
    if size > waybill_proof::MAX_BUNDLE as u64 {
        return Err(Error::Missing(format!(
            "{:?} is larger than any bundle ({} bytes)",
            args.file,
            waybill_proof::MAX_BUNDLE
        )));
    }
    let report = waybill_proof::check(&std::fs::read(&args.file).map_err(file)?, args.root);
    match args.output {
        Some(Output::Json) => print(&(serde_json::to_string_pretty(&report).expect("a report is plain data") + "\n")),
        None => print(&text(&report)),
    }
    Ok(match report.answer {
        Answer::Proved => code::DONE,
        Answer::Broken => code::FAILED,
        Answer::ConsistentRootUnknown => code::ROOT_UNKNOWN,
    })
}

fn text(report: &Report) -> String {
    let line = |line: &waybill_proof::report::Line| {
        let mark = match line.outcome {
            Outcome::Holds => "ok  ",
            Outcome::Note => "note",
            Outcome::Fails => "FAIL",
        };
        let place = line.place.as_ref().map_or(String::new(), |place| format!("{place}: "));
        format!("{mark}  {:<12}  {place}{}\n", line.check.as_str(), line.text)
    };
    let lines: String = report.lines.iter().map(line).collect();
    let answer = match report.answer {
        Answer::Proved => "PROVED: everything holds and leads to the root you gave.",
        Answer::ConsistentRootUnknown => {
            "CONSISTENT, ROOT UNKNOWN: everything holds together. Give --root to know whose word it is."
        }
        Answer::Broken => "BROKEN: this is not a proof.",
    };
    format!("{lines}{answer}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_openssl_writes_it_and_nothing_else_is() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(fingerprint(&plain), Ok(Hash([0xab; 32])));
        assert_eq!(fingerprint(&colons), Ok(Hash([0xab; 32])));
        for wrong in ["", "ab", &"ab".repeat(33), &"g".repeat(64), &"+1".repeat(32), &format!("{plain} ")] {
            assert!(fingerprint(wrong).is_err(), "{wrong}");
        }
    }
}

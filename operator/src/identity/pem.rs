//! PEM in and out: blocks of one label, nothing else. Parsing is strict about the label and the base64, lenient about blank lines,
//! because certificates and requests arrive through YAML.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
pub(crate) const REQUEST: &str = "CERTIFICATE REQUEST";
pub(crate) const CRL: &str = "X509 CRL";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("failed to find a PEM block labelled {label}")]
    Missing { label: &'static str },
    #[error("failed to read PEM: expected a block labelled {label}")]
    Label { label: &'static str },
    #[error("failed to read PEM: block {label} has no end line")]
    Unterminated { label: &'static str },
    #[error("failed to read PEM: block {label} is not base64")]
    Base64 { label: &'static str },
}

/// One block, 64 characters a line, with a final newline, so that blocks concatenate.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = String::with_capacity(body.len() + body.len() / 64 + 64);
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in body.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Every block of `label`, in order. A block with another label or text between blocks is an error: what is trusted is named.
pub(crate) fn decode_all(label: &'static str, text: &str) -> Result<Vec<Vec<u8>>, Error> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    while let Some(line) = lines.next() {
        if line != begin {
            return Err(Error::Label { label });
        }
        let mut body = String::new();
        loop {
            match lines.next() {
                None => return Err(Error::Unterminated { label }),
                Some(line) if line == end => break,
                Some(line) => body.push_str(line),
            }
        }
        blocks.push(STANDARD.decode(body).map_err(|_| Error::Base64 { label })?);
    }
    if blocks.is_empty() { Err(Error::Missing { label }) } else { Ok(blocks) }
}

/// Exactly one block: a second one would be ambiguous.
pub(crate) fn decode_one(label: &'static str, text: &str) -> Result<Vec<u8>, Error> {
    let mut blocks = decode_all(label, text)?;
    if blocks.len() > 1 {
        return Err(Error::Label { label });
    }
    Ok(blocks.swap_remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_round_trip_and_concatenate() {
        let (a, b) = (vec![7u8; 200], vec![9u8; 3]);
        let text = encode(CERTIFICATE, &a) + &encode(CERTIFICATE, &b);
        assert_eq!(decode_all(CERTIFICATE, &text), Ok(vec![a, b]));
    }

    #[test]
    fn a_foreign_label_an_open_block_and_junk_are_refused() {
        assert_eq!(decode_all(REQUEST, &encode(CERTIFICATE, b"x")), Err(Error::Label { label: REQUEST }));
        assert_eq!(decode_all(CRL, "-----BEGIN X509 CRL-----\nAA=="), Err(Error::Unterminated { label: CRL }));
        assert_eq!(
            decode_all(CRL, "-----BEGIN X509 CRL-----\n!!\n-----END X509 CRL-----"),
            Err(Error::Base64 { label: CRL })
        );
        assert_eq!(decode_all(CRL, "\n \n"), Err(Error::Missing { label: CRL }));
    }

    #[test]
    fn a_second_block_is_ambiguous() {
        let two = encode(REQUEST, b"a") + &encode(REQUEST, b"b");
        assert!(decode_one(REQUEST, &two).is_err());
        assert_eq!(decode_one(REQUEST, &encode(REQUEST, b"a")), Ok(b"a".to_vec()));
    }
}

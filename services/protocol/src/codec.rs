//! Deterministic CBOR (RFC 8949 §4.2.1), strictly: what is read is written again and must come out the same, byte for byte. So every
//! value has one encoding, and long-form lengths, unsorted or repeated keys, unknown fields and trailing bytes are all refused by one rule.

use minicbor::{Decode, Decoder, Encode};

use crate::version;

/// Why bytes are not what they claim to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Larger than this kind of thing may be.
    #[error("{what} has {size} bytes, the limit is {limit}")]
    TooLarge { what: &'static str, size: usize, limit: usize },
    /// Not the CBOR this kind of thing is made of.
    #[error("failed to read {what}: {detail}")]
    Malformed { what: &'static str, detail: String },
    /// Readable, but not in the one encoding that counts.
    #[error("{what} is not in its canonical encoding")]
    NotCanonical { what: &'static str },
    /// Written by a newer program: count it and drop it.
    #[error("{what} has version {version}, this program reads up to {}", version::CURRENT)]
    FromTheFuture { what: &'static str, version: u64 },
    /// Written by a program too old to be understood.
    #[error("{what} has version {version}, this program reads from {}", version::MIN)]
    TooOld { what: &'static str, version: u64 },
    /// A COSE header other than the one this kind of thing has.
    #[error("{what} has an envelope of another kind")]
    ForeignEnvelope { what: &'static str },
    /// The signature is not by that key over those bytes.
    #[error("{what} has a signature that does not verify")]
    BadSignature { what: &'static str },
}

/// Encodes into the one encoding that counts.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).expect("encoding into memory does not fail")
}

/// Decodes the whole of `bytes` and refuses every encoding but the canonical one.
pub(crate) fn decode<'b, T>(what: &'static str, bytes: &'b [u8]) -> Result<T, WireError>
where
    T: Decode<'b, ()> + Encode<()>,
{
    let value: T = minicbor::decode(bytes).map_err(|error| WireError::Malformed { what, detail: error.to_string() })?;
    if encode(&value) == bytes { Ok(value) } else { Err(WireError::NotCanonical { what }) }
}

/// As [`decode`], for a map whose key 0 is a version: that is looked at first.
pub(crate) fn decode_versioned<'b, T>(what: &'static str, bytes: &'b [u8]) -> Result<T, WireError>
where
    T: Decode<'b, ()> + Encode<()>,
{
    let version = peek_version(bytes).map_err(|error| WireError::Malformed { what, detail: error.to_string() })?;
    check_version(what, version)?;
    decode(what, bytes)
}

/// Whether this program reads that version.
pub(crate) fn check_version(what: &'static str, version: u64) -> Result<(), WireError> {
    if version > u64::from(version::CURRENT) {
        return Err(WireError::FromTheFuture { what, version });
    }
    if version < u64::from(version::MIN) {
        return Err(WireError::TooOld { what, version });
    }
    Ok(())
}

fn peek_version(bytes: &[u8]) -> Result<u64, minicbor::decode::Error> {
    let mut decoder = Decoder::new(bytes);
    decoder.map()?;
    match decoder.u64()? {
        0 => decoder.u64(),
        _ => Err(minicbor::decode::Error::message("the first key is not the version")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    #[cbor(map)]
    struct Sample {
        #[n(0)]
        version: u16,
        #[n(1)]
        text: String,
        #[n(2)]
        number: Option<u64>,
    }

    // {0: 1, 1: "ab", 2: 7}
    const GOOD: [u8; 9] = [0xa3, 0x00, 0x01, 0x01, 0x62, b'a', b'b', 0x02, 0x07];

    #[test]
    fn canonical_bytes_are_read() {
        let sample: Sample = decode_versioned("sample", &GOOD).unwrap();
        assert_eq!(sample, Sample { version: 1, text: "ab".into(), number: Some(7) });
        assert_eq!(encode(&sample), GOOD);
    }

    #[test]
    fn every_other_encoding_of_the_same_value_is_refused() {
        let bent: [(&str, Vec<u8>); 8] = [
            ("long-form integer", vec![0xa3, 0x00, 0x18, 0x01, 0x01, 0x62, b'a', b'b', 0x02, 0x07]),
            ("long-form length", vec![0xa3, 0x00, 0x01, 0x01, 0x78, 0x02, b'a', b'b', 0x02, 0x07]),
            ("indefinite map", vec![0xbf, 0x00, 0x01, 0x01, 0x62, b'a', b'b', 0x02, 0x07, 0xff]),
            ("indefinite text", vec![0xa3, 0x00, 0x01, 0x01, 0x7f, 0x62, b'a', b'b', 0xff, 0x02, 0x07]),
            ("unsorted keys", vec![0xa3, 0x00, 0x01, 0x02, 0x07, 0x01, 0x62, b'a', b'b']),
            ("repeated key", vec![0xa4, 0x00, 0x01, 0x01, 0x62, b'a', b'b', 0x02, 0x07, 0x02, 0x07]),
            ("unknown key", vec![0xa4, 0x00, 0x01, 0x01, 0x62, b'a', b'b', 0x02, 0x07, 0x03, 0x07]),
            ("trailing byte", [GOOD.as_slice(), &[0x00]].concat()),
        ];
        for (name, bytes) in bent {
            let error = decode_versioned::<Sample>("sample", &bytes).unwrap_err();
            let refused = matches!(error, WireError::NotCanonical { .. } | WireError::Malformed { .. });
            assert!(refused, "{name}: {error}");
        }
    }

    #[test]
    fn a_later_version_is_named_before_its_fields_are_read() {
        let bytes = [0xa2, 0x00, 0x02, 0x18, 0x63, 0xf6];
        let error = decode_versioned::<Sample>("sample", &bytes).unwrap_err();
        assert_eq!(error, WireError::FromTheFuture { what: "sample", version: 2 });
        let bytes = [0xa1, 0x00, 0x00];
        let error = decode_versioned::<Sample>("sample", &bytes).unwrap_err();
        assert_eq!(error, WireError::TooOld { what: "sample", version: 0 });
    }
}

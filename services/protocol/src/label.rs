//! The parcel's label and the recipient's code: two secrets of the seller's label key, one on the parcel and one with the recipient.
//!
//! Whoever reads the label can make the scan's MAC, so a MAC shows that the device had this parcel's label before it. The recipient's
//! code opens nothing: its hash stands in the terms, and shown in the log it proves that the recipient was met.

use core::{fmt, str::FromStr};

use crate::{
    commitment::{array, hmac},
    id::{Hash, Hex, Mac, ReceiptCode, Uid},
};

/// What a label keeps secret: 16 bytes, readable by whoever holds the parcel. Never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LabelSecret([u8; 16]);

/// What the code on a label says: `waybill:1:<delivery>:<secret>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCode {
    pub delivery: Uid,
    pub secret: LabelSecret,
}

/// What the recipient's code says: `waybill-receipt:1:<delivery>:<code>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptText {
    pub delivery: Uid,
    pub code: ReceiptCode,
}

/// A code that is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the code is not of the form {0}")]
pub struct ForeignCode(&'static str);

const LABEL_FORM: &str = "waybill:1:<delivery>:<32 hexadecimal digits>";
const RECEIPT_FORM: &str = "waybill-receipt:1:<delivery>:<32 hexadecimal digits>";

impl LabelSecret {
    /// The secret on the label of one delivery. `label_key`: the raw 32 bytes of `label.key`.
    pub fn new(label_key: &[u8; 32], delivery: &Uid) -> Self {
        Self(first_half(hmac(label_key, "waybill.dev/label", |e| e.str(delivery.as_str())?.ok())))
    }

    /// What a scan of this label signs into `Scanned`.
    pub fn scan_mac(&self, delivery: &Uid, attempt: u32) -> Mac {
        hmac(&self.0, "waybill.dev/scan", |e| e.str(delivery.as_str())?.u32(attempt)?.ok())
    }

    /// Whether a scan read this label. For the seller, before the door part opens.
    pub fn check(&self, delivery: &Uid, attempt: u32, mac: &Mac) -> bool {
        same(&self.scan_mac(delivery, attempt).0, &mac.0)
    }
}

/// The recipient's code of one delivery.
pub fn receipt_code(label_key: &[u8; 32], delivery: &Uid) -> ReceiptCode {
    ReceiptCode(first_half(hmac(label_key, "waybill.dev/receipt", |e| e.str(delivery.as_str())?.ok())))
}

/// What the terms say of the recipient's code.
pub fn receipt_hash(delivery: &Uid, code: &ReceiptCode) -> Hash {
    Hash::of(&array("waybill.dev/receipt-hash", |e| e.str(delivery.as_str())?.bytes(&code.0)?.ok()))
}

fn first_half(mac: Mac) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&mac.0[..16]);
    half
}

/// Compares secrets without telling where they differ.
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    let differing = left.iter().zip(right).fold(0, |differing, (left, right)| differing | (left ^ right));
    left.len() == right.len() && core::hint::black_box(differing) == 0
}

impl fmt::Debug for LabelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabelSecret(..)")
    }
}

impl fmt::Display for LabelCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waybill:1:{}:{}", self.delivery, Hex(&self.secret.0))
    }
}

impl FromStr for LabelCode {
    type Err = ForeignCode;

    fn from_str(text: &str) -> Result<Self, ForeignCode> {
        let (delivery, secret) = parse("waybill:1:", text).ok_or(ForeignCode(LABEL_FORM))?;
        Ok(Self { delivery, secret: LabelSecret(secret) })
    }
}

impl fmt::Display for ReceiptText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waybill-receipt:1:{}:{}", self.delivery, self.code)
    }
}

impl FromStr for ReceiptText {
    type Err = ForeignCode;

    fn from_str(text: &str) -> Result<Self, ForeignCode> {
        let (delivery, code) = parse("waybill-receipt:1:", text).ok_or(ForeignCode(RECEIPT_FORM))?;
        Ok(Self { delivery, code: ReceiptCode(code) })
    }
}

fn parse(prefix: &str, text: &str) -> Option<(Uid, [u8; 16])> {
    let (delivery, digits) = text.strip_prefix(prefix)?.split_once(':')?;
    let lower = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    if digits.len() != 32 || !digits.bytes().all(lower) {
        return None;
    }
    let mut secret = [0; 16];
    for (byte, pair) in secret.iter_mut().zip(0..) {
        *byte = u8::from_str_radix(digits.get(2 * pair..2 * pair + 2)?, 16).ok()?;
    }
    Some((Uid::new(delivery).ok()?, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [9; 32];

    #[test]
    fn d_53_only_this_parcels_label_makes_the_mac_of_this_attempt() {
        let (ours, other) = (uid("ours"), uid("other"));
        let secret = LabelSecret::new(&KEY, &ours);
        let mac = secret.scan_mac(&ours, 1);
        assert!(secret.check(&ours, 1, &mac));
        assert!(!secret.check(&ours, 2, &mac), "a scan is of one attempt");
        assert!(!secret.check(&ours, 1, &LabelSecret::new(&KEY, &other).scan_mac(&ours, 1)), "another parcel's label");
        assert!(!secret.check(&ours, 1, &LabelSecret::new(&[8; 32], &ours).scan_mac(&ours, 1)), "a forged label");
    }

    #[test]
    fn a_code_reads_as_it_is_written_and_no_other_way() {
        let label = LabelCode { delivery: uid("d-1"), secret: LabelSecret::new(&KEY, &uid("d-1")) };
        assert_eq!(label.to_string().parse(), Ok(label.clone()));
        let receipt = ReceiptText { delivery: uid("d-1"), code: receipt_code(&KEY, &uid("d-1")) };
        assert_eq!(receipt.to_string().parse(), Ok(receipt.clone()));
        let text = label.to_string();
        for bent in
            [text.to_uppercase(), text.clone() + "0", text.replace("1:", "2:"), receipt.to_string(), String::new()]
        {
            assert!(bent.parse::<LabelCode>().is_err(), "{bent}");
        }
        assert!(text.parse::<ReceiptText>().is_err(), "the label is not the recipient's code");
    }

    #[test]
    fn a_label_secret_is_never_printed() {
        assert!(!format!("{:?}", LabelSecret::new(&KEY, &uid("d"))).contains(char::is_numeric));
    }

    // === helpers ===

    fn uid(text: &str) -> Uid {
        Uid::new(text).unwrap()
    }
}

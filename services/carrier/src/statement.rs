//! Key statements as they stand in a status: base64 of what the CA signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use waybill_protocol::{KeyStatement, Trust};

/// A statement of a CA that counts now, whatever its dates.
pub(crate) fn stated(text: &str, trust: &Trust) -> Option<KeyStatement> {
    trust.statement(&STANDARD.decode(text).ok()?).ok()
}

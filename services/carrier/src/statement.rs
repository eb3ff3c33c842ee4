//! Key statements as they stand in a status: base64 of what the CA signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use waybill_protocol::{KeyStatement, Trust};

/// A statement of a trusted CA, whatever its dates.
pub(crate) fn recorded(text: &str, trust: &Trust) -> Option<KeyStatement> {
    trust.recorded_statement(&STANDARD.decode(text).ok()?).ok()
}

//! One notice to one program: an HTTP POST, signed as Standard Webhooks has it (HMAC-SHA256 over id, time and body).
//!
//! Whom it goes to the Seller says and the chart allows. Nothing of the answer but its status is looked at, and no redirect is followed.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{StatusCode, header};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::queue::Outcome;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a signing secret is written with, and its fewest bytes.
const PREFIX: &str = "whsec_";
const SHORTEST: usize = 24;

/// What signs.
pub(super) type SigningKey = Zeroizing<Vec<u8>>;

/// The key in a Secret: base64 after the prefix, at least 24 bytes.
pub(super) fn signing_key(text: &[u8]) -> Option<SigningKey> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let key = STANDARD.decode(text.strip_prefix(PREFIX)?).ok().map(Zeroizing::new)?;
    (key.len() >= SHORTEST).then_some(key)
}

/// What stands in `webhook-signature`.
fn signature(key: &[u8], id: &str, at: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// A client for receivers: their addresses are the user's, so neither redirects nor proxies lead elsewhere.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    let none = reqwest::redirect::Policy::none();
    reqwest::Client::builder().redirect(none).no_proxy().timeout(PATIENCE).user_agent("waybill").build()
}

/// Tells it.
pub(super) async fn tell(
    client: &reqwest::Client,
    (url, key): (&str, Option<&[u8]>),
    (id, at): (&str, u64),
    body: Vec<u8>,
) -> Outcome {
    let mut request = client
        .post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", at.to_string());
    if let Some(key) = key {
        request = request.header("webhook-signature", signature(key, id, at, &body));
    }
    match request.body(body).send().await {
        Ok(answer) => judged(answer.status(), answer.headers().get(header::RETRY_AFTER)),
        Err(error) if error.is_timeout() => Outcome::Later {
            why: format!("did not answer within {} seconds", PATIENCE.as_secs()),
            away: true,
            after: None,
        },
        Err(_) => Outcome::Later { why: "could not be reached".into(), away: true, after: None },
    }
}

fn judged(status: StatusCode, after: Option<&header::HeaderValue>) -> Outcome {
    let why = format!("answered with status {}", status.as_u16());
    match status {
        status if status.is_success() => Outcome::Told,
        StatusCode::GONE => Outcome::Closed { why },
        _ => {
            let after = after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
            Outcome::Later { why, away: false, after }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's libraries.
    #[test]
    fn a_signature_is_the_one_other_libraries_make() {
        let key = signing_key(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let made = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(made, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_key_that_could_be_guessed_or_is_none_signs_nothing() {
        for bad in
            ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_not base64 at all, not at all!"]
        {
            assert!(signing_key(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_gone_closes_and_whoever_is_busy_says_for_how_long() {
        assert_eq!(judged(StatusCode::ACCEPTED, None), Outcome::Told);
        assert!(matches!(judged(StatusCode::GONE, None), Outcome::Closed { .. }));
        for status in [301, 400, 404, 429, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(matches!(judged(status, None), Outcome::Later { away: false, .. }), "{status}");
        }
        let seconds = header::HeaderValue::from_static("120");
        let busy = judged(StatusCode::TOO_MANY_REQUESTS, Some(&seconds));
        assert!(matches!(busy, Outcome::Later { after: Some(after), .. } if after.as_secs() == 120));
    }
}

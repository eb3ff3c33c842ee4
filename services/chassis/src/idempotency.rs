//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the same request sent again is the same request. What it comes to is
//! the service's own; here is how the key is read, and what is said of a key that was used for something else.

use axum::http::{HeaderMap, StatusCode};

use crate::problem::{Kind, Problem};

/// The header's name.
pub const HEADER: &str = "Idempotency-Key";
/// No key of that form.
pub const INVALID: Kind =
    Kind { slug: "idempotency-key-invalid", title: "Key can not be read", status: StatusCode::BAD_REQUEST };
/// The key was used with another body.
pub const REUSED: Kind = Kind {
    slug: "idempotency-key-reused",
    title: "Key was used for something else",
    status: StatusCode::UNPROCESSABLE_ENTITY,
};
/// What a route that takes a key may refuse for its sake.
pub const KINDS: [Kind; 2] = [INVALID, REUSED];

/// The longest key, in characters.
const LONGEST: usize = 255;

/// The key of a request, with or without quotes around it.
pub fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all(HEADER).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|_| all.next().is_none());
    let inner = text.map(|text| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text));
    let plain = |key: &&str| (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    inner.filter(plain).map(Some).ok_or_else(|| {
        Problem::new(
            INVALID,
            "an Idempotency-Key is 1 to 255 letters, digits or signs, without blanks, and one a request",
        )
    })
}

/// The key was used with another body.
pub fn reused() -> Problem {
    Problem::new(REUSED, "this Idempotency-Key was used for another request; use a new one")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_is_read_with_or_without_quotes_and_nothing_else_is_one() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, HeaderValue::from_str(value).unwrap());
            }
            key(&headers).map(|key| key.map(str::to_owned)).map_err(|problem| problem.kind().slug)
        };
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["8e03978e-40d5"]), Ok(Some("8e03978e-40d5".into())));
        assert_eq!(of(&["\"8e03978e-40d5\" "]), Ok(Some("8e03978e-40d5".into())));
        for bad in [&[""][..], &["\"\""], &["a b"], &["a", "b"], &[&"x".repeat(256)]] {
            assert_eq!(of(bad), Err("idempotency-key-invalid"), "{bad:?}");
        }
    }
}

//! The contents of a Secret while we hold them: taken out of the API object, wiped when dropped, never printed.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use zeroize::{Zeroize, Zeroizing};

#[derive(Default)]
pub(crate) struct Bytes(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl Bytes {
    pub(crate) fn of(secret: Secret) -> Self {
        let data = secret.data.unwrap_or_default();
        Self(data.into_iter().map(|(key, bytes)| (key, Zeroizing::new(bytes.0))).collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.0.get(key).map(|bytes| bytes.as_slice())
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Wipes a Secret that was made to be sent, once it has been.
pub(crate) fn wipe(mut secret: Secret) {
    for bytes in secret.data.iter_mut().flat_map(|data| data.values_mut()) {
        bytes.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn debug_shows_names_of_keys_only() {
        let data = BTreeMap::from([("tls.key".to_owned(), ByteString(b"private".to_vec()))]);
        let bytes = Bytes::of(Secret { data: Some(data), ..Secret::default() });
        assert_eq!(format!("{bytes:?}"), r#"{"tls.key"}"#);
        assert_eq!(bytes.text("tls.key"), Some("private"));
    }
}

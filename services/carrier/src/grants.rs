//! Grants: what stands in a tracking link. An opaque text whose hash is kept in the store, exchanged for short view tokens,
//! gone when its object is removed. No name of anybody is kept with it. What has ended is removed: when the delivery's grants
//! are looked at, and otherwise now and then.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use object_store::path::Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use waybill_protocol::Uid;

use crate::store::{Error, Store, is_hash};
use crate::view::time_of;

/// How long a link works unless its issuer says otherwise, and at most: seconds.
pub(crate) const DEFAULT_LIFE: u64 = 7 * 24 * 3600;
pub(crate) const LONGEST_LIFE: u64 = 90 * 24 * 3600;
/// How many a delivery may have at once.
pub(crate) const MOST: usize = 32;

/// A grant as its bearer has it, in two parts: where to look, and a secret to look for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) delivery: Uid,
    secret: [u8; 32],
}

/// Whom a grant is for. What it opens is the same, but for the recipient's code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Role")]
pub(crate) enum Audience {
    #[default]
    Viewer,
    Recipient,
}

impl Audience {
    pub(crate) const fn is_viewer(&self) -> bool {
        matches!(self, Self::Viewer)
    }
}

/// One as those see it who may revoke it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "GrantLine")]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) role: Audience,
    // Seconds since the epoch.
    #[serde(serialize_with = "as_time")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub(crate) expires: u64,
}

fn as_time<S: serde::Serializer>(secs: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time_of(*secs))
}

/// What is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Seconds since the epoch.
    pub(crate) expires: u64,
    /// Those made before there were roles are viewers'.
    #[serde(default)]
    pub(crate) role: Audience,
    /// How long it was to live, where it was asked for under a key: seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) life: Option<u64>,
    /// Taken back, and kept for as long as its key might bring it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) revoked: bool,
}

impl Kept {
    fn is_good(&self, now: u64) -> bool {
        now < self.expires && !self.revoked
    }
}

impl Grant {
    pub(crate) fn new(delivery: Uid) -> Self {
        Self { delivery, secret: rand::random() }
    }

    /// The same for the same words of the same user, wherever and whenever: its secret is made with the API's own.
    pub(crate) fn of_key(delivery: Uid, seed: &[u8; 32], (user, key): (&str, &str)) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(seed).expect("HMAC takes a key of any length");
        for part in ["waybill grant 1", delivery.as_str(), user, key] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let secret = mac.finalize().into_bytes().into();
        Self { delivery, secret }
    }

    /// `None` for what is no grant at all.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (delivery, secret) = text.split_once('.')?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        Some(Self { delivery: Uid::new(delivery).ok()?, secret })
    }

    /// For a link.
    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.delivery, URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// Its name for those who may revoke it; nobody gets the grant from it.
    pub(crate) fn id(&self) -> String {
        hex::encode(Sha256::digest(self.secret))
    }
}

/// The folder of everything granted for a delivery.
pub(crate) fn folder(delivery: &str) -> Path {
    Path::from_iter(["grants", delivery])
}

fn path(delivery: &Uid, id: &str) -> Path {
    folder(delivery.as_str()).join(id)
}

/// Keeps a new grant.
pub(crate) async fn keep(store: &Store, grant: &Grant, kept: Kept) -> Result<(), Error> {
    write(store, &path(&grant.delivery, &grant.id()), kept).await
}

async fn write(store: &Store, path: &Path, kept: Kept) -> Result<(), Error> {
    store.put(path, serde_json::to_vec(&kept).expect("numbers and a word are JSON")).await
}

/// What is kept of it, if its time is not over.
pub(crate) async fn find(store: &Store, grant: &Grant, now: u64) -> Result<Option<Kept>, Error> {
    Ok(kept(store, &path(&grant.delivery, &grant.id())).await?.filter(|kept| now < kept.expires))
}

/// Whom a grant is for, if it is good at `now`.
pub(crate) async fn good_for(store: &Store, grant: &Grant, now: u64) -> Result<Option<Audience>, Error> {
    Ok(find(store, grant, now).await?.filter(|kept| kept.is_good(now)).map(|kept| kept.role))
}

/// `None` where there is none; what can't be read has ended long ago.
async fn kept(store: &Store, path: &Path) -> Result<Option<Kept>, Error> {
    let ended = Kept { expires: 0, role: Audience::Viewer, life: None, revoked: false };
    let kept = store.get(path).await?;
    Ok(kept.map(|bytes| serde_json::from_slice::<Kept>(&bytes).unwrap_or(ended)))
}

/// Those for a delivery that are good at `now`. The others are removed.
pub(crate) async fn list(store: &Store, delivery: &str, now: u64) -> Result<Vec<Listed>, Error> {
    good(store, &folder(delivery), now).await
}

/// Removes all that have ended, whoever they are for; how many are left.
pub(crate) async fn sweep(store: &Store, now: u64) -> Result<usize, Error> {
    good(store, &Path::from("grants"), now).await.map(|left| left.len())
}

async fn good(store: &Store, folder: &Path, now: u64) -> Result<Vec<Listed>, Error> {
    let mut good = Vec::new();
    for path in store.list(folder).await? {
        match (kept(store, &path).await?, path.filename()) {
            (Some(kept), Some(_)) if now < kept.expires && kept.revoked => {}
            (Some(kept), Some(id)) if now < kept.expires => {
                good.push(Listed { id: id.to_owned(), role: kept.role, expires: kept.expires });
            }
            (Some(_), _) => drop(store.delete(&path).await?),
            _ => {}
        }
    }
    Ok(good)
}

/// Takes one back; false if there was none.
pub(crate) async fn revoke(store: &Store, delivery: &Uid, id: &str) -> Result<bool, Error> {
    if !is_hash(id) {
        return Ok(false);
    }
    let path = path(delivery, id);
    match kept(store, &path).await? {
        Some(Kept { revoked: true, .. }) => Ok(false),
        Some(made) if made.life.is_some() => write(store, &path, Kept { revoked: true, ..made }).await.map(|()| true),
        _ => store.delete(&path).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(expires: u64, role: Audience) -> Kept {
        Kept { expires, role, life: None, revoked: false }
    }

    fn delivery() -> Uid {
        Uid::new("d-1").unwrap()
    }

    #[test]
    fn a_grant_is_read_as_it_was_written_and_nothing_else_is_one() {
        let grant = Grant::new(delivery());
        assert!(Grant::parse(&grant.text()).unwrap() == grant);
        for text in ["", "d-1", "d-1.", "d-1.AAAA", "../x.AAAA", &format!("{}x", grant.text())] {
            assert!(Grant::parse(text).is_none(), "{text}");
        }
        assert!(!grant.text().contains(&grant.id()), "the id does not give the grant away");
    }

    #[tokio::test]
    async fn d78_a_grant_is_good_until_it_ends_or_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("file://{}", dir.path().display()), &Default::default()).unwrap();
        let (grant, other) = (Grant::new(delivery()), Grant::new(delivery()));
        keep(&store, &grant, until(1000, Audience::Viewer)).await.unwrap();
        assert!(good_for(&store, &grant, 999).await.unwrap().is_some());
        assert!(good_for(&store, &grant, 1000).await.unwrap().is_none());
        assert!(good_for(&store, &other, 1).await.unwrap().is_none());
        let elsewhere = Grant { delivery: Uid::new("d-2").unwrap(), ..grant.clone() };
        assert!(good_for(&store, &elsewhere, 1).await.unwrap().is_none(), "it opens one delivery");
        let told = [Listed { id: grant.id(), role: Audience::Viewer, expires: 1000 }];
        assert_eq!(list(&store, "d-1", 999).await.unwrap(), told);
        assert_eq!(sweep(&store, 999).await.unwrap(), 1);
        assert!(good_for(&store, &grant, 999).await.unwrap().is_some(), "what is good stays");
        keep(&store, &other, until(1000, Audience::Viewer)).await.unwrap();
        assert!(list(&store, "d-1", 1000).await.unwrap().is_empty(), "what ended is not told");
        assert!(store.list(&folder("d-1")).await.unwrap().is_empty(), "and not kept");
        keep(&store, &grant, until(1000, Audience::Viewer)).await.unwrap();
        assert_eq!(sweep(&store, 1000).await.unwrap(), 0);
        assert!(store.list(&folder("d-1")).await.unwrap().is_empty(), "though nobody looked");
        keep(&store, &grant, until(1000, Audience::Viewer)).await.unwrap();
        assert!(!revoke(&store, &delivery(), "../../x").await.unwrap());
        assert!(revoke(&store, &delivery(), &grant.id()).await.unwrap());
        assert!(good_for(&store, &grant, 1).await.unwrap().is_none());
        assert!(!revoke(&store, &delivery(), &grant.id()).await.unwrap());
    }

    #[tokio::test]
    async fn a_grant_made_before_there_were_roles_is_a_viewers() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("file://{}", dir.path().display()), &Default::default()).unwrap();
        let (old, new) = (Grant::new(delivery()), Grant::new(delivery()));
        store.put(&path(&old.delivery, &old.id()), br#"{"expires":1000}"#.to_vec()).await.unwrap();
        keep(&store, &new, until(1000, Audience::Recipient)).await.unwrap();
        assert_eq!(good_for(&store, &old, 1).await.unwrap(), Some(Audience::Viewer));
        assert_eq!(good_for(&store, &new, 1).await.unwrap(), Some(Audience::Recipient));
    }

    #[test]
    fn a_key_makes_one_grant_a_user_and_delivery() {
        let of = |delivery: &str, seed: u8, user, key| {
            Grant::of_key(Uid::new(delivery).unwrap(), &[seed; 32], (user, key)).text()
        };
        assert_eq!(of("d-1", 1, "ann", "k"), of("d-1", 1, "ann", "k"));
        let others = [
            of("d-2", 1, "ann", "k"),
            of("d-1", 2, "ann", "k"),
            of("d-1", 1, "bob", "k"),
            of("d-1", 1, "ann", "l"),
            of("d-1", 1, "an", "nk"),
        ];
        assert!(!others.contains(&of("d-1", 1, "ann", "k")));
    }

    #[tokio::test]
    async fn a_grant_of_a_key_that_was_taken_back_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&format!("file://{}", dir.path().display()), &Default::default()).unwrap();
        let grant = Grant::of_key(delivery(), &[1; 32], ("ann", "k"));
        keep(&store, &grant, Kept { life: Some(900), ..until(1000, Audience::Viewer) }).await.unwrap();
        assert!(good_for(&store, &grant, 1).await.unwrap().is_some());
        assert!(revoke(&store, &delivery(), &grant.id()).await.unwrap());
        assert!(!revoke(&store, &delivery(), &grant.id()).await.unwrap());
        assert!(good_for(&store, &grant, 1).await.unwrap().is_none());
        assert!(find(&store, &grant, 1).await.unwrap().is_some_and(|kept| kept.revoked), "its key brings it not back");
        assert!(list(&store, "d-1", 1).await.unwrap().is_empty());
        assert_eq!(sweep(&store, 1000).await.unwrap(), 0);
        assert!(store.list(&folder("d-1")).await.unwrap().is_empty(), "until its time is over");
    }
}

//! Secret `waybill-ca` to `Authority` and back. Pure. A Secret that can't be read whole is an error, never a reason to make another CA.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use waybill_crds::annotation;

use super::{Authority, Ca, Cross, Error as CaError, Lifecycle};
use crate::identity::pem;
use crate::identity::secret::Bytes;
use crate::identity::x509::key::PrivateKey;

const STATE: &str = "state.json";
/// Not read back: for people and for `kubectl get secret`.
const BUNDLE: &str = "ca.crt";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to find {key} in the CA's Secret")]
    Missing { key: String },
    #[error("failed to read {key} of the CA's Secret as text")]
    Text { key: String },
    #[error("failed to read the state in the CA's Secret")]
    State(#[source] serde_json::Error),
    #[error("failed to read {key} of the CA's Secret")]
    Pem {
        key: String,
        #[source]
        source: pem::Error,
    },
    #[error("failed to load a CA from its Secret")]
    Ca(#[source] CaError),
}

pub(crate) fn decode(secret: Secret) -> Result<Authority, Error> {
    let rotate = secret.annotations().get(annotation::ROTATE).cloned();
    let resource_version = secret.resource_version();
    let data = Bytes::of(secret);
    let state: Lifecycle = serde_json::from_str(text(&data, STATE)?).map_err(Error::State)?;
    let ids = [&state.active.id].into_iter().chain(state.next.iter().map(|next| &next.id));
    let ids = ids.chain(state.previous.iter().map(|previous| &previous.id));
    let cas = ids.map(|id| ca(&data, id)).collect::<Result<_, _>>()?;
    let crosses = crosses(&data)?;
    Ok(Authority { state, rotate, resource_version, cas, crosses })
}

pub(crate) fn encode(authority: &Authority) -> Result<BTreeMap<String, ByteString>, Error> {
    let mut data = BTreeMap::new();
    let state = serde_json::to_vec_pretty(&authority.state).map_err(Error::State)?;
    data.insert(STATE.to_owned(), ByteString(state));
    data.insert(BUNDLE.to_owned(), ByteString(authority.bundle().into_bytes()));
    for ca in authority.trusted() {
        data.insert(format!("{}.crt", ca.id), ByteString(ca.certificate_pem().into_bytes()));
        let key = ca.issuer().key().to_pem();
        data.insert(format!("{}.key", ca.id), ByteString(key.as_bytes().to_vec()));
    }
    for cross in &authority.crosses {
        data.insert(cross_key(cross), ByteString(cross.pem.clone().into_bytes()));
    }
    Ok(data)
}

fn cross_key(cross: &Cross) -> String {
    format!("{}.by.{}.crt", cross.subject, cross.issuer)
}

fn ca(data: &Bytes, id: &str) -> Result<Arc<Ca>, Error> {
    let (certificate, key) = (format!("{id}.crt"), format!("{id}.key"));
    let der = pem::decode_one(pem::CERTIFICATE, text(data, &certificate)?)
        .map_err(|source| Error::Pem { key: certificate, source })?;
    let key = PrivateKey::from_pem(text(data, &key)?)
        .map_err(|source| Error::Ca(CaError::Key { id: id.to_owned(), source }))?;
    Ca::new(id.to_owned(), der, key).map(Arc::new).map_err(Error::Ca)
}

fn crosses(data: &Bytes) -> Result<Vec<Cross>, Error> {
    let mut crosses = Vec::new();
    for key in data.keys() {
        let Some((subject, issuer)) = key.strip_suffix(".crt").and_then(|name| name.split_once(".by.")) else {
            continue;
        };
        let pem = text(data, key)?.to_owned();
        crosses.push(Cross { subject: subject.to_owned(), issuer: issuer.to_owned(), pem });
    }
    Ok(crosses)
}

fn text<'a>(data: &'a Bytes, key: &str) -> Result<&'a str, Error> {
    let bytes = data.get(key).ok_or_else(|| Error::Missing { key: key.to_owned() })?;
    std::str::from_utf8(bytes).map_err(|_| Error::Text { key: key.to_owned() })
}

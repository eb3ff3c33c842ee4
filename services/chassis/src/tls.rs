//! TLS with our own trust: a leaf, its key and the bundle of roots; nothing of the system's store counts.
//!
//! Resumption is off on both sides: a resumed session would bring the old client chain back unchecked, after the root
//! that vouched for it was withdrawn. TLS 1.3 and 1.2, one provider. A new certificate never cuts a live connection:
//! configurations are swapped for the connections that come next.

mod reload;

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::peer::Peer;

pub use reload::{client_configs, map, materials, watch_dir, with_bundle};

/// File names of a mounted `kubernetes.io/tls` Secret.
pub const FILES: &[&str] = &["tls.crt", "tls.key", "ca.crt"];

/// Why TLS material was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no {what} in the TLS material")]
    Missing { what: &'static str },
    #[error("failed to parse {what} as PEM")]
    Pem {
        what: &'static str,
        #[source]
        source: pem::Error,
    },
    #[error("failed to read whom the certificate names")]
    Holder(#[source] crate::peer::Error),
    #[error("failed to use the certificate with its key")]
    Leaf(#[source] rustls::Error),
    #[error("failed to trust the bundle")]
    Bundle(#[source] rustls::Error),
    #[error("failed to build the client verifier")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    #[error("failed to configure TLS")]
    Config(#[source] rustls::Error),
    #[error("failed to read TLS files")]
    Files(#[source] crate::files::Error),
}

/// The roots one side trusts.
#[derive(Debug, Clone)]
pub struct Bundle {
    roots: Arc<RootCertStore>,
}

impl PartialEq for Bundle {
    fn eq(&self, other: &Self) -> bool {
        self.roots.roots == other.roots.roots
    }
}

impl Bundle {
    /// Reads every certificate of a PEM bundle; one that cannot be read refuses the whole, so that a damaged bundle is
    /// noticed instead of silently trusting less.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("trust bundle", pem)? {
            roots.add(certificate).map_err(Error::Bundle)?;
        }
        Ok(Self { roots: Arc::new(roots) })
    }

    /// How many roots.
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Never: a bundle without a root is refused.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }
}

/// A leaf with its chain and key, checked to belong together, and the bundle peers are checked against.
#[derive(Clone)]
pub struct Material {
    leaf: Arc<CertifiedKey>,
    holder: Arc<Peer>,
    bundle: Bundle,
}

// The key stays out.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("holder", &self.holder.uid).field("roots", &self.bundle.len()).finish()
    }
}

/// What a server asks of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// No certificate is asked for.
    None,
    /// A certificate is checked when there is one.
    Optional,
    /// No connection without a valid certificate.
    Required,
}

impl Material {
    /// From the three parts of a `kubernetes.io/tls` Secret.
    pub fn from_pem(chain: &[u8], key: &[u8], bundle: &[u8]) -> Result<Self, Error> {
        let chain = certificates("certificate chain", chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| Error::Pem { what: "private key", source })?;
        let what = "certificate chain";
        let holder = Peer::from_der(chain.first().ok_or(Error::Missing { what })?).map_err(Error::Holder)?;
        let leaf = CertifiedKey::from_der(chain, key, &provider()).map_err(Error::Leaf)?;
        Ok(Self { leaf: Arc::new(leaf), holder: Arc::new(holder), bundle: Bundle::from_pem(bundle)? })
    }

    /// From a snapshot of [`FILES`].
    pub fn from_files(files: &crate::files::Files) -> Result<Self, Error> {
        let part = |name, what| files.get(name).ok_or(Error::Missing { what });
        Self::from_pem(part("tls.crt", "tls.crt")?, part("tls.key", "tls.key")?, part("ca.crt", "ca.crt")?)
    }

    /// The same leaf checked against other roots.
    #[must_use]
    pub fn with_bundle(&self, bundle: Bundle) -> Self {
        Self { bundle, ..self.clone() }
    }

    /// Whether connections made with either are alike.
    fn is_same(&self, other: &Self) -> bool {
        self.leaf.cert == other.leaf.cert && self.bundle == other.bundle
    }

    /// The roots it came with.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Whom the leaf names.
    pub fn holder(&self) -> &Peer {
        &self.holder
    }

    /// End of the leaf's validity in seconds since the epoch.
    pub fn not_after(&self) -> i64 {
        self.holder.not_after
    }

    /// A server's configuration.
    pub fn server(&self, clients: ClientAuth) -> Result<ServerConfig, Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::Config)?
            .with_client_cert_verifier(self.verifier(clients)?)
            .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(Arc::clone(&self.leaf))));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// A client's configuration that presents the leaf.
    pub fn client(&self) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::Config)?
            .with_root_certificates(Arc::clone(&self.bundle.roots))
            .with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(Arc::clone(&self.leaf))));
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn verifier(&self, clients: ClientAuth) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.bundle.roots), provider());
        match clients {
            ClientAuth::None => return Ok(WebPkiClientVerifier::no_client_auth()),
            ClientAuth::Optional => builder.allow_unauthenticated().build(),
            ClientAuth::Required => builder.build(),
        }
        .map_err(Error::Verifier)
    }
}

/// A client that presents no certificate, only checks the server's against `bundle`.
pub fn anonymous_client(bundle: &Bundle) -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::Config)?
        .with_root_certificates(Arc::clone(&bundle.roots))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Named here and not taken from the process, so that no stray feature decides which provider it is.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all.map_err(|source| Error::Pem { what, source })? {
        none if none.is_empty() => Err(Error::Missing { what }),
        some => Ok(some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Files;

    fn secret(change: impl FnOnce(&mut [String; 3])) -> Files {
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["a".into()]).unwrap().self_signed(&key).unwrap();
        let mut parts = [leaf.pem(), key.serialize_pem(), leaf.pem()];
        change(&mut parts);
        FILES.iter().copied().zip(parts.map(String::into_bytes)).collect()
    }

    #[test]
    fn a_whole_secret_is_taken() {
        let material = Material::from_files(&secret(|_| {})).unwrap();
        assert!(material.server(ClientAuth::Required).is_ok() && material.client().is_ok());
    }

    #[test]
    fn damaged_material_is_refused_whole() {
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(matches!(Material::from_files(&secret(|parts| parts[1] = other)), Err(Error::Leaf(_))));
        assert!(Material::from_files(&secret(|parts| parts[0].truncate(200))).is_err());
        assert!(matches!(Material::from_files(&secret(|parts| parts[2].clear())), Err(Error::Missing { .. })));
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let spoiled = secret(|parts| parts[2].push_str(damaged));
        assert!(matches!(Material::from_files(&spoiled), Err(Error::Bundle(_))));
    }

    #[test]
    fn the_key_never_shows_in_debug() {
        let text = format!("{:?}", Material::from_files(&secret(|_| {})).unwrap());
        assert!(text.starts_with("Material { holder:"), "{text}");
        assert!(text.len() < 80, "{text}");
    }
}

//! The identity of a namespace's Carrier API. It has no custom resource, so the uid of the Secret that holds its key stands for it:
//! new key, new identity, and the old one is revoked for want of an owner.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use waybill_crds::participant::DEFAULT_TTL;

use super::ledger::{Kind, Owner};
use super::participant::{Outcome, keyring, managed};
use super::{Error, Identity, Inner, keys, labels, names, revocation, trust};
use crate::context::Context;

/// Secrets `waybill-carrier-api-tls` and `-keys` of a namespace, and its statement in `waybill-trust`.
pub async fn ensure(ctx: &Context, namespace: &str) -> Result<Outcome, Error> {
    ctx.identity.ensure_carrier_api(namespace, Timestamp::now()).await
}

/// Takes the identity back: its Secrets go, its certificates are revoked. For the last Carrier of a namespace; again is a no-op.
pub async fn remove(ctx: &Context, namespace: &str) -> Result<(), Error> {
    ctx.identity.remove_carrier_api(namespace).await
}

impl Identity {
    /// As [`ensure`], at a given time.
    pub async fn ensure_carrier_api(&self, namespace: &str, now: Timestamp) -> Result<Outcome, Error> {
        let inner = &self.0;
        let statement = trust::statement(inner, namespace).await?;
        let owner = owner(inner, namespace).await?;
        let wanted = managed::Wanted {
            owner: &owner,
            controller: None,
            ttl: ttl(),
            renew_before: None,
            external_names: &inner.settings.carrier_api_external_names,
            key_statement: statement.as_deref(),
        };
        let outcome = managed::ensure(inner, &wanted, now).await?;
        if let Some(statement) = &outcome.key_statement {
            trust::set_statement(inner, namespace, statement.clone()).await?;
        }
        Ok(outcome)
    }

    /// As [`remove`].
    pub async fn remove_carrier_api(&self, namespace: &str) -> Result<(), Error> {
        let inner = &self.0;
        let secrets = names::secrets(Kind::CarrierApi, names::CARRIER_API);
        let api: Api<Secret> = Api::namespaced(inner.client.clone(), namespace);
        let held = keyring::read(inner, namespace, &secrets.keys, None).await?;
        for name in [&secrets.tls, &secrets.keys] {
            match api.delete(name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(Error::api("delete", format!("Secret {namespace}/{name}"))(error)),
            }
        }
        if let Some(uid) = held.uid {
            revocation::gone(inner, &owner_of(namespace, uid)).await?;
        }
        Ok(())
    }
}

/// Who the Carrier API of this namespace is; its key is made now if there is none.
async fn owner(inner: &Inner, namespace: &str) -> Result<Owner, Error> {
    let secrets = names::secrets(Kind::CarrierApi, names::CARRIER_API);
    let wanted =
        keyring::Wanted { namespace, name: &secrets.keys, controller: None, labels: labels::of("carrier-api") };
    let create = || keys::create(Kind::CarrierApi, &mut rand::random);
    let held = match keyring::ensure(inner, &wanted, create, None::<std::convert::Infallible>).await? {
        Ok(held) => held,
        Err(never) => match never {},
    };
    let uid = held.uid.ok_or_else(|| Error::Contended { what: format!("Secret {namespace}/{}", secrets.keys) })?;
    Ok(owner_of(namespace, uid))
}

fn owner_of(namespace: &str, uid: String) -> Owner {
    Owner { kind: Kind::CarrierApi, namespace: namespace.to_owned(), name: names::CARRIER_API.to_owned(), uid }
}

fn ttl() -> SignedDuration {
    super::signed(DEFAULT_TTL.get())
}

//! What reconciling a Seller and a Carrier have in common: the five steps and their order, when hands stay off, what any
//! participant's status says. The rest each kind says itself: see [`Kind`].

mod identified;
mod standing;
mod status;

use std::marker::PhantomData;
use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;

pub(crate) use identified::{
    CARRIER_API_SECRETS, Error as IdentityError, Identified, of_carrier_api, remove_carrier_api,
};
pub(crate) use standing::Known;
pub(crate) use status::Shown;
#[cfg(test)]
pub(crate) use status::build as shown;

use crate::apply;
use crate::args::Args;
use crate::cache::index::By;
use crate::cache::{Caches, Children};
use crate::context::Context;
use crate::controller::Reconciler;
use crate::identity;
use crate::report::Word;
use crate::status::Error as StatusError;
use crate::unneeded;
use crate::written::Written;
use standing::Standing;

/// A kind of participant. Only `apply` sends anything; `validate`, `build`, `works` and `ready` are pure.
pub(crate) trait Kind: apply::Owned {
    /// Names its reconciler.
    const NAME: &'static str;
    /// What Deliveries name it by.
    const BY: By;
    /// The field in which they do.
    const FIELD: &'static str;
    /// What is looked up, in the cache.
    type Found: Send + Sync;
    /// Its specification, understood.
    type Valid: Send + Sync;
    /// Made, but not sent.
    type Prepared: Send;
    /// As the API server has it then.
    type Applied: Send + Sync;

    fn dereference(&self, caches: &Caches) -> Self::Found;

    fn validate(&self, known: Known, found: &Self::Found, settings: &Args) -> Self::Valid;

    /// As identity sees it; None for what was never stored.
    fn identity(&self) -> Option<identity::Participant>;

    /// `issued`: it has a certificate to start pods with.
    fn build(valid: &Self::Valid, issued: bool, settings: &Args) -> Self::Prepared;

    fn apply(
        context: &Context,
        children: &Children,
        prepared: Self::Prepared,
    ) -> impl Future<Output = Result<Self::Applied, apply::Error>> + Send;

    /// How its pods do; None where it has none.
    fn works(applied: &Self::Applied) -> Option<Word>;

    /// The first thing in the way, once certificates are issued.
    fn ready(&self, found: &Self::Found, valid: &Self::Valid, works: Option<&Word>) -> Word;

    /// What its status shows now.
    fn shown(&self) -> Shown;
}

/// Why a participant could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to see to its identity")]
    Identity(#[source] IdentityError),
    #[error("failed to write what belongs to it")]
    Apply(#[source] apply::Error),
    #[error("failed to write its status")]
    Status(#[source] StatusError),
    #[error("failed to remove it")]
    Unneeded(#[source] unneeded::Error),
}

/// The reconciler of one kind.
pub(crate) struct Participants<K> {
    context: Context,
    caches: Caches,
    written: Written,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Participants<K> {
    pub(crate) fn new(context: Context, caches: Caches) -> Self {
        Self { context, caches, written: Written::default(), kind: PhantomData }
    }
}

impl<K: Kind> Reconciler for Participants<K> {
    type Object = K;
    type Error = Error;
    const NAME: &'static str = K::NAME;

    async fn reconcile(self: Arc<Self>, object: Arc<K>) -> Result<Action, Error> {
        let Self { context, caches, written, .. } = &*self;
        if written.is_ahead_of(&*object) {
            return Ok(Action::await_change());
        }
        let known = match standing::dereference(caches, &*object) {
            Standing::Leave => return Ok(Action::await_change()),
            Standing::Unneeded => {
                unneeded::remove(context, &*object, K::FIELD).await.map_err(Error::Unneeded)?;
                return Ok(Action::await_change());
            }
            Standing::Serve(known) => known,
        };
        let found = object.dereference(caches);
        let valid = object.validate(known, &found, &context.settings);
        // Who is revoked is revoked in here, before anything else is done about it.
        let identity = identified::ensure(context, object.identity()).await.map_err(Error::Identity)?;
        let prepared = K::build(&valid, identity.issued(), &context.settings);
        let applied = K::apply(context, &caches.children, prepared).await.map_err(Error::Apply)?;
        let wanted = status::build(&*object, &found, &valid, &identity, &applied, Timestamp::now());
        status::update(context, written, &*object, wanted).await.map_err(Error::Status)?;
        Ok(identity.look_again(Timestamp::now()))
    }

    fn lost_race(error: &Error) -> bool {
        match error {
            Error::Identity(source) => source.lost_race(),
            Error::Apply(_) => false,
            Error::Status(source) => source.lost_race(),
            Error::Unneeded(source) => source.lost_race(),
        }
    }
}

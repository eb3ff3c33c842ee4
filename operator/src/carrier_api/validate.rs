//! Whether a namespace has a Carrier API, and which Carriers own it. Pure.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use waybill_crds::Carrier;

use super::OWNERS;
use super::dereference::Found;

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing to do, or nothing that can be done.
    Leave,
    Remove,
    Serve(Valid),
}

/// A namespace with Carriers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Valid {
    pub namespace: String,
    /// The oldest Carriers, in an order of their own, so that the same Carriers give the same list.
    pub owners: Vec<OwnerReference>,
}

pub(super) fn validate(namespace: &str, found: Found) -> Verdict {
    let Found { namespace_ends, carriers, present } = found;
    let staying = carriers.into_iter().filter(|carrier| carrier.metadata.deletion_timestamp.is_none());
    let owners = owners(staying.collect());
    match (namespace_ends, owners.is_empty(), present) {
        (true, ..) | (false, true, false) => Verdict::Leave,
        (false, true, true) => Verdict::Remove,
        (false, false, _) => Verdict::Serve(Valid { namespace: namespace.to_owned(), owners }),
    }
}

fn owners(mut carriers: Vec<Arc<Carrier>>) -> Vec<OwnerReference> {
    let age = |carrier: &Arc<Carrier>| {
        (carrier.metadata.creation_timestamp.as_ref().map(|at| at.0), carrier.metadata.uid.clone())
    };
    if carriers.len() > OWNERS {
        carriers.select_nth_unstable_by_key(OWNERS, age);
        carriers.truncate(OWNERS);
    }
    carriers.sort_by_key(age);
    // Owned, not controlled: nobody of them decides alone.
    carriers.iter().filter_map(|carrier| carrier.owner_ref(&())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn found(carriers: usize, present: bool) -> Found {
        let carrier = |n: usize| {
            let mut carrier = fixtures::carrier(&format!("c{n}"), true);
            let at = fixtures::noon() + jiff::SignedDuration::from_secs(1000 - i64::try_from(n).unwrap());
            carrier.metadata.creation_timestamp = Some(Time(at));
            Arc::new(carrier)
        };
        Found { namespace_ends: false, carriers: (0..carriers).map(carrier).collect(), present }
    }

    #[test]
    fn it_comes_with_the_first_carrier_and_goes_with_the_last() {
        assert_eq!(validate("shop", found(0, false)), Verdict::Leave);
        assert!(matches!(validate("shop", found(1, false)), Verdict::Serve(_)));
        assert_eq!(validate("shop", found(0, true)), Verdict::Remove);
        assert_eq!(validate("shop", Found { namespace_ends: true, ..found(1, true) }), Verdict::Leave);
    }

    #[test]
    fn the_oldest_carriers_own_it_and_their_number_is_bounded() {
        let Verdict::Serve(valid) = validate("shop", found(OWNERS + 5, false)) else { panic!("to be served") };
        let names: Vec<_> = valid.owners.iter().map(|owner| owner.name.clone()).collect();
        let oldest: Vec<_> = (5..OWNERS + 5).rev().map(|n| format!("c{n}")).collect();
        assert_eq!(names, oldest);
        assert!(valid.owners.iter().all(|owner| owner.controller.is_none()));
    }

    #[test]
    fn a_carrier_on_its_way_out_owns_nothing() {
        let mut found = found(1, true);
        Arc::get_mut(&mut found.carriers[0]).unwrap().metadata.deletion_timestamp = Some(Time(fixtures::noon()));
        assert_eq!(validate("shop", found), Verdict::Remove);
    }
}

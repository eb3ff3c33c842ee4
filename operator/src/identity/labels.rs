//! The labels every object of ours carries. Pure.

use std::collections::BTreeMap;

use waybill_crds::{FIELD_MANAGER, label};

/// `app.kubernetes.io/*` for one component.
pub(crate) fn of(component: &str) -> BTreeMap<String, String> {
    let pairs = [(label::NAME, label::APP_NAME), (label::COMPONENT, component), (label::MANAGED_BY, FIELD_MANAGER)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

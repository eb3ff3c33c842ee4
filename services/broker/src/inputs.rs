//! What the cluster says now: the data of four objects, as it stands in them. Nothing in it is believed yet.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The `data` of one Secret or ConfigMap.
pub type Data = Arc<BTreeMap<String, Vec<u8>>>;

/// One snapshot; `None` where an object does not exist, or was not seen yet.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// ConfigMap `waybill-crl`: `crl.pem`, `revoked.json`.
    pub revocations: Option<Data>,
    /// Secret `waybill-broker-tls`: `tls.crt`, `tls.key` of the listeners, `ca.crt` that participants are checked against.
    pub server: Option<Data>,
    /// Secret `waybill-broker-admin`: `ca.crt` of the sidecar's own listener, `tls.crt`, `tls.key` of its client.
    pub admin: Option<Data>,
    /// ConfigMap `waybill-broker`: the access lists.
    pub access: Option<Data>,
}

// Two of the four hold private keys.
impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let there = |data: &Option<Data>| data.is_some();
        f.debug_struct("Inputs")
            .field("revocations", &there(&self.revocations))
            .field("server", &there(&self.server))
            .field("admin", &there(&self.admin))
            .field("access", &there(&self.access))
            .finish()
    }
}

/// One entry of an object; an empty one is as good as none.
pub(crate) fn entry<'a>(data: Option<&'a Data>, key: &str) -> Option<&'a [u8]> {
    data?.get(key).map(Vec::as_slice).filter(|bytes| !bytes.is_empty())
}

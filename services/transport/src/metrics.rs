//! What a transport counts beside what every service does.

use prometheus_client::metrics::counter::Counter;
use waybill_chassis::metrics::Metrics;

/// The families of this service.
#[derive(Debug, Clone, Default)]
pub struct TransportMetrics {
    pub(crate) unread: Counter,
}

impl TransportMetrics {
    /// Registers the families.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self::default();
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix("transport");
            registry.register("messages_unread", "Messages nobody reads yet", families.unread.clone());
        });
        families
    }
}

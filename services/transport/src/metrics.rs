//! What a transport counts beside what every service does. No delivery and no person is anybody's label.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use waybill_chassis::metrics::Metrics;

/// Why something was dropped.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The families of this service.
#[derive(Debug, Clone, Default)]
pub struct TransportMetrics {
    pub(crate) heard: Counter,
    dropped: Family<Reason, Counter>,
    pub(crate) writes: Counter,
    pub(crate) posts: Counter,
    pub(crate) deliveries: Gauge,
}

impl TransportMetrics {
    /// Registers the families.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self::default();
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix("transport");
            registry.register("frames_heard", "Frames that came from the broker", families.heard.clone());
            registry.register("dropped", "What came and was not believed, by reason", families.dropped.clone());
            registry.register("journal_writes", "Groups written to journals", families.writes.clone());
            registry.register("posts", "Posts the Carrier API answered", families.posts.clone());
            registry.register("deliveries", "Deliveries this agent works on", families.deliveries.clone());
        });
        families
    }

    pub(crate) fn dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&Reason { reason }).inc();
    }
}

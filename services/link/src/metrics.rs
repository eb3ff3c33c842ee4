//! What a link counts. Counts only: topics and identities are nobody's label.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use waybill_chassis::metrics::Metrics;

/// The counters of one link, shared by its parts.
#[derive(Debug, Clone, Default)]
pub struct LinkMetrics {
    pub(crate) connected: Gauge,
    pub(crate) sessions: Counter,
    pub(crate) lost: Counter,
    pub(crate) published: Counter,
    pub(crate) refused: Counter,
    pub(crate) received: Counter,
    pub(crate) dropped: Counter,
}

impl LinkMetrics {
    /// Registers the families with the process's registry.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self::default();
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix("link");
            registry.register("connected", "1 while a session is up and subscribed", families.connected.clone());
            registry.register("sessions", "Sessions that came up", families.sessions.clone());
            registry.register("connections_lost", "Connections that failed or ended unasked", families.lost.clone());
            registry.register("published", "Messages handed to a session", families.published.clone());
            registry.register("refused", "Messages refused before sending", families.refused.clone());
            registry.register("received", "Messages handed to the owner", families.received.clone());
            registry.register("dropped", "Messages dropped: the inbox was full", families.dropped.clone());
        });
        families
    }

    /// Sessions that came up so far.
    pub fn sessions(&self) -> u64 {
        self.sessions.get()
    }

    /// Connections that failed or ended unasked so far.
    pub fn lost(&self) -> u64 {
        self.lost.get()
    }

    /// Messages dropped so far because the owner's inbox was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.get()
    }
}

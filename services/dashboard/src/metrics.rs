//! What the board counts besides its requests.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use waybill_chassis::metrics::Metrics;

/// The families, cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct BoardMetrics {
    /// Viewers that follow live.
    pub(crate) viewers: Gauge,
    /// How often a viewer was told to look anew.
    pub(crate) resyncs: Counter,
}

impl BoardMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let families = Self::default();
        metrics.register(|registry| {
            registry.register("board_viewers", "Viewers that follow live", families.viewers.clone());
            let help = "Viewers told to look anew, because they missed more than is kept";
            registry.register("board_resyncs", help, families.resyncs.clone());
        });
        families
    }
}

//! What a Seller service counts beside what every service does. No name of an order or a person is a label.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use waybill_chassis::metrics::Metrics;

use crate::orders::Book;

/// Why something was dropped.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Who was to be told, and what became of it.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Notice {
    to: &'static str,
    outcome: &'static str,
}

/// The families of this service.
#[derive(Debug, Clone, Default)]
pub struct SellerMetrics {
    pub(crate) lease_held: Gauge,
    pub(crate) heard: Counter,
    dropped: Family<Reason, Counter>,
    pub(crate) sent: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) cases: Gauge,
    pub(crate) notices_waiting: Gauge,
    notices: Family<Notice, Counter>,
    orders: Gauge,
    faults: Gauge,
}

impl SellerMetrics {
    /// Registers the families.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self::default();
        metrics.register(|registry| {
            let registry = registry.sub_registry_with_prefix("seller");
            registry.register("lease_held", "1 on the replica that distributes", families.lease_held.clone());
            registry.register("messages_heard", "Messages of carriers that were opened", families.heard.clone());
            registry.register(
                "messages_dropped",
                "Messages that did not open or belong nowhere, by reason",
                families.dropped.clone(),
            );
            registry.register("messages_sent", "Messages handed to the link", families.sent.clone());
            registry.register(
                "write_conflicts",
                "Writes to a log that somebody else was faster at",
                families.conflicts.clone(),
            );
            registry.register("deliveries_open", "Deliveries this replica works on", families.cases.clone());
            registry.register("notices", "Tries to tell a receiver of a phase, by outcome", families.notices.clone());
            registry.register("notices_waiting", "Notices still to be told", families.notices_waiting.clone());
            registry.register("orders", "Orders that can be used", families.orders.clone());
            registry.register("order_faults", "Secrets and keys that cannot", families.faults.clone());
        });
        families
    }

    pub(crate) fn dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn notice(&self, to: &'static str, outcome: &'static str) {
        self.notices.get_or_create(&Notice { to, outcome }).inc();
    }

    /// Shows a book's size.
    pub(crate) fn show(&self, book: &Book) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.orders.set(count(book.len()));
        self.faults.set(count(book.faults().len()));
    }
}

//! What the sidecar tells Prometheus. Parts are a closed list; uids are nobody's label.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use waybill_chassis::metrics::Metrics;

use crate::held::{Findings, Held, Part};

/// From a quiet broker's round trip with a handshake to the end of a probe's patience.
const SECONDS: [f64; 9] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 3.0];

/// The families, shared by those who count.
#[derive(Debug, Clone)]
pub(crate) struct BrokerMetrics {
    crl_number: Gauge,
    crl_not_after: Gauge,
    last_good_age: Gauge,
    problem: Family<PartLabel, Gauge>,
    processes: Gauge,
    pub(crate) reloads: Counter,
    pub(crate) reload_failures: Counter,
    pub(crate) restarts: Counter,
    pub(crate) takeovers: Counter,
    pub(crate) takeover_failures: Counter,
    pub(crate) round_trip: Histogram,
    pub(crate) round_trip_failures: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartLabel {
    part: &'static str,
}

impl BrokerMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let families = Self {
            crl_number: Gauge::default(),
            crl_not_after: Gauge::default(),
            last_good_age: Gauge::default(),
            problem: Family::default(),
            processes: Gauge::default(),
            reloads: Counter::default(),
            reload_failures: Counter::default(),
            restarts: Counter::default(),
            takeovers: Counter::default(),
            takeover_failures: Counter::default(),
            round_trip: Histogram::new(SECONDS),
            round_trip_failures: Counter::default(),
        };
        metrics.register(|registry| families.register(registry.sub_registry_with_prefix("broker")));
        families
    }

    fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        let Self { crl_number, crl_not_after, last_good_age, problem, processes, reloads, reload_failures, .. } = self;
        let Self { restarts, takeovers, takeover_failures, round_trip, round_trip_failures, .. } = self;
        registry.register("crl_number", "Number of the revocation list in use", crl_number.clone());
        let help = "When the revocation list in use ends and everybody is refused, in seconds since the epoch";
        registry.register("crl_not_after_seconds", help, crl_not_after.clone());
        let help = "For how long something older than what the cluster offers has been in use; 0 when nothing is";
        registry.register("last_good_age_seconds", help, last_good_age.clone());
        registry.register("problem", "1 where what the cluster offers is not in use", problem.clone());
        registry.register("processes", "Broker processes running now", processes.clone());
        registry.register("reloads", "Times the broker was told to reload", reloads.clone());
        registry.register("reload_failures", "Times it could not be told", reload_failures.clone());
        registry.register("restarts", "New broker processes seen after the first", restarts.clone());
        registry.register("takeovers", "Sessions of revoked identities taken over", takeovers.clone());
        registry.register("takeover_failures", "Attempts at it that failed", takeover_failures.clone());
        registry.register("round_trip_seconds", "Connect, subscribe, publish and receive", round_trip.clone());
        registry.register("round_trip_failures", "Round trips that failed", round_trip_failures.clone());
    }

    /// The state after a look at the inputs.
    pub(crate) fn show(&self, held: &Held, findings: &Findings) {
        if let Some(trust) = held.trust() {
            self.crl_number.set(i64::try_from(trust.number()).unwrap_or(i64::MAX));
            self.crl_not_after.set(trust.not_after().as_second());
        }
        for part in Part::ALL {
            let problem = findings.problems.contains_key(&part);
            self.problem.get_or_create(&PartLabel { part: part.name() }).set(problem.into());
        }
    }

    pub(crate) fn processes(&self, count: usize) {
        self.processes.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn last_good_age(&self, seconds: u64) {
        self.last_good_age.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }
}

//! What the operator counts. Labels are bounded: controllers and kinds are ours, error labels are variant names, no object's
//! name is a label.

use std::fmt;
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// From a decision without a write to an API server in trouble.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Controller {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    controller: &'static str,
    error: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// The operator's families; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub registry: waybill_chassis::metrics::Metrics,
    reconciles: Family<Controller, Counter>,
    errors: Family<Failure, Counter>,
    seconds: Family<Controller, Histogram, fn() -> Histogram>,
    depth: Family<Controller, Gauge>,
    undecodable: Family<Kind, Counter>,
    events_dropped: Counter,
    leader: Gauge,
}

impl Metrics {
    /// Registers the families in the process's registry.
    pub fn new(registry: waybill_chassis::metrics::Metrics) -> Self {
        let families = Self {
            registry: registry.clone(),
            reconciles: Family::default(),
            errors: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            depth: Family::default(),
            undecodable: Family::default(),
            events_dropped: Counter::default(),
            leader: Gauge::default(),
        };
        registry.register(|r| {
            r.register("reconciles", "Reconciliations begun", families.reconciles.clone());
            r.register("reconcile_errors", "Reconciliations that failed, by error", families.errors.clone());
            r.register("reconcile_seconds", "Time a reconciliation took", families.seconds.clone());
            r.register("queue_depth", "Objects waiting to be reconciled", families.depth.clone());
            r.register("undecodable_objects", "Watched objects skipped as unreadable", families.undecodable.clone());
            r.register("events_dropped", "Kubernetes Events not told", families.events_dropped.clone());
            r.register("leader", "1 while this replica leads", families.leader.clone());
        });
        families
    }

    /// Counts a reconciliation and times it until the answer is dropped.
    pub fn reconcile(&self, controller: &'static str) -> Timer {
        self.reconciles.get_or_create(&Controller { controller }).inc();
        Timer { seconds: self.seconds.get_or_create_owned(&Controller { controller }), started: Instant::now() }
    }

    /// Counts a failure under its variant's name.
    pub fn failed(&self, controller: &'static str, error: &impl fmt::Debug) {
        self.errors.get_or_create(&Failure { controller, error: variant(error) }).inc();
    }

    pub(crate) fn depth(&self, controller: &'static str) -> Gauge {
        self.depth.get_or_create_owned(&Controller { controller })
    }

    pub(crate) fn undecodable(&self, kind: &'static str) {
        self.undecodable.get_or_create(&Kind { kind }).inc();
    }

    pub(crate) fn event_dropped(&self) {
        self.events_dropped.inc();
    }

    pub(crate) fn leading(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }
}

/// Observes the time since it was made when dropped, so that an aborted reconciliation is timed too.
#[derive(Debug)]
pub struct Timer {
    seconds: Histogram,
    started: Instant,
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.seconds.observe(self.started.elapsed().as_secs_f64());
    }
}

/// The name of an enum's variant, taken from its derived `Debug` without rendering the rest of it.
pub(crate) fn variant(value: &impl fmt::Debug) -> String {
    struct FirstWord(String);
    impl fmt::Write for FirstWord {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
            self.0.push_str(&text[..end]);
            // An error ends the rendering: what follows the name may be long.
            if end < text.len() { Err(fmt::Error) } else { Ok(()) }
        }
    }
    let mut word = FirstWord(String::new());
    let _ = fmt::write(&mut word, format_args!("{value:?}"));
    word.0
}

#[cfg(test)]
mod tests {
    use super::*;

    // The fields are read by Debug only, which is the point.
    #[allow(dead_code)]
    #[derive(Debug)]
    enum Trouble {
        Plain,
        Tuple(String),
        Named { secret: &'static str },
    }

    #[test]
    fn an_error_is_labelled_by_its_variant_alone() {
        assert_eq!(variant(&Trouble::Plain), "Plain");
        assert_eq!(variant(&Trouble::Tuple("x".into())), "Tuple");
        assert_eq!(variant(&Trouble::Named { secret: "s" }), "Named");
    }

    #[test]
    fn what_happened_is_readable_from_the_registry() {
        let registry = waybill_chassis::metrics::Metrics::new("operator");
        let metrics = Metrics::new(registry.clone());
        drop(metrics.reconcile("seller"));
        metrics.failed("seller", &Trouble::Tuple("detail".into()));
        metrics.leading(true);
        let text = registry.encode().unwrap();
        for line in [
            r#"waybill_reconciles_total{controller="seller"} 1"#,
            r#"waybill_reconcile_errors_total{controller="seller",error="Tuple"} 1"#,
            r#"waybill_reconcile_seconds_count{controller="seller"} 1"#,
            "waybill_leader 1",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
        assert!(!text.contains("detail"));
    }
}

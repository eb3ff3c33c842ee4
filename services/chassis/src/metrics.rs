//! Metrics without globals: one registry a process, handed to those who count. Names start with `waybill_`; what is
//! known of any process (memory, start time, CPU, open files) keeps the names every dashboard knows.
//!
//! Labels are bounded by construction: routes are templates, methods a closed list, and no object's name is a label.

mod http;
mod process;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub use http::{HttpMetrics, track};

/// Media type of the exposition format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A shared handle on the process's registry.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
}

impl Metrics {
    /// Starts a registry for `component`, the program's short name.
    pub fn new(component: &'static str) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process::started_now()));
        let build = [("component".into(), component.into()), ("version".into(), env!("CARGO_PKG_VERSION").into())];
        registry.sub_registry_with_labels(build.into_iter()).register(
            "waybill_build_info",
            "Which program this is; always 1",
            ConstGauge::new(1_i64),
        );
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Lets the caller register its families; their names get the prefix `waybill_`.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(self.lock().sub_registry_with_prefix("waybill"))
    }

    /// Everything in the text format.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.lock())?;
        Ok(text)
    }

    // Registration and encoding leave the registry whole at every point, so a panic in between spoils nothing.
    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Waybill's own parts killed while they work, and what is left afterwards: the same as if nothing had happened.
//!
//! Faults of the cluster itself are in `chaos_cluster.rs`: they would make other tests' requests fail.

mod broker;
mod burst;
mod hand;
mod leaving;
mod operator;
mod quiet;

/// Held by whoever kills the operator, and by whoever wants to see that it lives on.
static OPERATOR: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

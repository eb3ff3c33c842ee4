//! The link: one MQTT session to the broker, kept up, and the only room of the services that knows the MQTT client.
//!
//! Contract. No message is precious: what should be out follows from a log elsewhere, and each side sends again until it
//! sees the other's signed answer ([`resend`]). So the link keeps nothing over a lost connection: every connection is a
//! new client with a clean session, and whatever the old one had queued, in flight or half acknowledged is gone. That
//! is deliberate. The ways in which MQTT clients lose, repeat or wedge messages all live in state carried from one
//! connection to the next, and there is none here.
//!
//! What is lost, and who mends it:
//! - published and not yet on the wire when the connection ends: lost; the owner's schedule sends it again;
//! - acknowledged by the broker: may be lost still (brokers acknowledge what they drop), so it counts for nothing;
//! - arrived while the owner's [`Inbox`] is full: dropped and counted; the sender sends it again. It takes a broker that
//!   ignores the window to get there: a message is acknowledged when the owner takes it, so a slow owner slows the
//!   broker down, while the poll loop never waits for anybody;
//! - larger than [`MAX_PAYLOAD`]: refused before it is sent, with a typed error.
//!
//! Trusted: nothing that arrives. Payloads are the business of those who can open them; topics come from the broker.

mod backoff;
mod driver;
mod handle;
mod inbox;
mod metrics;
pub mod resend;
mod session;
mod settings;

pub use driver::{Driver, link};
pub use handle::{Link, PublishError};
pub use inbox::{Inbox, Message};
pub use metrics::LinkMetrics;
pub use session::Lost;
pub use settings::{MAX_PAYLOAD, MAX_TOPIC, Settings, SettingsError};

/// Payload bytes, shared without copies.
pub use bytes::Bytes;

//! A broker that is nobody's friend. Sellers and agents connect to it by mutual TLS as to any other; it reads every frame that
//! crosses it, holds back, repeats, overtakes, and puts words of its own before them.
//!
//! And a Carrier API that lies, with the very account that may write into logs.
//!
//! - `wire`: MQTT 3.1.1 by hand. [`broker`]: sessions, and what happens to what crosses it. [`forge`]: pure, from frames that
//!   crossed and the keys of another genuine carrier to frames nobody may believe. [`tally`]: what the services counted. [`api`]: the lying Carrier API.

pub(crate) mod api;
pub(crate) mod broker;
pub(crate) mod forge;
pub(crate) mod tally;
mod wire;

#[cfg(test)]
mod api_tests;
#[cfg(test)]
mod broker_tests;
#[cfg(test)]
mod privacy_tests;

//! The whole agent from outside: a real broker, a Carrier API over HTTPS, folders on a disk.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "../kit/broker.rs"]
mod broker;
#[path = "../kit/office.rs"]
mod office;
#[path = "../kit/place.rs"]
mod place;
#[path = "../kit/shop.rs"]
mod shop;
#[path = "../kit/world.rs"]
mod world;

mod disturbed;
mod ended;
mod enrolled;
mod hostile;
mod logs;
mod plain;
mod taps;

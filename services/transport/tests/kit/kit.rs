//! What the tests of the agent share: a trust domain, and a seller with its log.

pub(crate) mod shop;
pub(crate) mod world;

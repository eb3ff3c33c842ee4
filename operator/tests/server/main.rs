//! The operator against a real API server: run in this process as a library, in namespaces of its own, killed and started at will.
//!
//! Pods are the one thing that isn't real here: they ask for more CPU than any node has, stay unscheduled, and a player sets their
//! status. So these tests need no image, and the Deployment controller still counts for itself.

mod crash;
mod deliveries;
mod gate;
mod identity;
mod lead;
mod participants;
mod stage;
mod unreadable;

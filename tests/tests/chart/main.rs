//! The chart as its readers meet it: what it refuses, what it grants, what it leaves out; rendered by both helms.
//!
//! Much of the chart repeats what is decided elsewhere (settings, events, metrics, phases). Each such repetition is
//! compared with its source here, so that it cannot drift.

mod board;
mod drift;
mod grants;
mod helm;
mod monitoring;
mod pods;
mod values;

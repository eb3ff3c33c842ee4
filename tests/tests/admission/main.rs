//! What the admission policies of the chart let whom do, asked of the real API server (DESIGN.md 5, "Who writes what"; 3, DELETE).
//!
//! Every writer here has the RBAC to write status, so a refusal is the policy's own. Objects are paused: the operator
//! leaves them to the test.

mod cast;
mod deletion;
mod participants;
mod writers;

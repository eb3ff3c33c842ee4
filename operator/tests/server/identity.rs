//! Identity alone, without reconcilers: CA, ledger, certificates, revocation, each with crashes and with a second operator at work.

mod authority;
mod crash;
mod issuing;
mod openssl;
mod participants;
mod revocation;
mod stage;

//! Empty until its room is built.

//! Predictions and trainings: when to poll them, and creating each of them exactly once.

pub(crate) mod create;
pub(crate) mod create_lookup;
pub mod pace;
pub(crate) mod polls;

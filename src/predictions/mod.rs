//! Predictions and trainings: when to poll them, and creating them exactly once.

pub mod create;
pub mod create_lookup;
pub mod pace;
pub mod polls;

//! Where tasks run.

pub mod golden;
pub mod weights;

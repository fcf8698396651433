//! What two networks share.

pub mod conv;
pub mod linear;
pub mod norm;

//! What two networks share.

pub mod attention;
pub mod conv;
pub mod linear;
pub mod norm;

//! What two networks share.

mod bf16;
pub mod conv;
pub mod linear;
pub mod norm;
pub mod source;

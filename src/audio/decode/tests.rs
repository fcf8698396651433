//! Decoding of every format, damage included.

//! What can be asked of the engine: plain data, samples not paths.

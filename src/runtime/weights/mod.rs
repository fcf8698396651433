//! Opening a published checkpoint as named tensors.

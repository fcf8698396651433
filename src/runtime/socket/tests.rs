//! Who may use the socket, and who may take its place.

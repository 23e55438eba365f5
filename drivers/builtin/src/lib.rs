//! The components that ship inside nacre

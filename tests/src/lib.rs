//! Suites that cross rooms.

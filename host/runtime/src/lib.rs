//! Runs a process in a mounted root: crun, runc or the built-in runner

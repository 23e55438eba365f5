//! Image archives from end to end: hand-made ones, hostile ones, those of other programs, and ours.

mod hostile;
mod kinds;
mod made;
mod peers;
mod sinks;

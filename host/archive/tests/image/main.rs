//! Image archives from end to end: hand-made ones, hostile ones, those of other programs, and ours.

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod made;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod sinks;

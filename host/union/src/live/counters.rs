use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The counters once, as they count and as they are read.
macro_rules! counters {
    ($($(#[$meaning:meta])+ $name:ident;)+) => {
        /// What counts what happens in a tree.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(pub(crate) $name: AtomicU64,)+
        }

        /// What happened in a tree since it was opened.
        ///
        /// As text it is one line for each counter, its name and its value, and so it is read again: from a mount
        /// through the extended attribute `trusted.nacre.stat` of its root ([`crate::fuse::statistics`]).
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Statistics {
            $($(#[$meaning])+ pub $name: u64,)+
        }

        impl Counters {
            /// As they stand now.
            pub(crate) fn read(&self) -> Statistics {
                Statistics { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }

        impl Statistics {
            /// Each counter's name and value.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }

            /// Read the text. What another version counts and this one does not is passed over.
            pub fn parse(text: &str) -> Self {
                let mut read = Self::default();
                for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
                    let value = value.parse().unwrap_or(0);
                    match name {
                        $(stringify!($name) => read.$name = value,)+
                        _ => {}
                    }
                }
                read
            }
        }
    };
}

counters! {
    /// Names that were searched for.
    lookups;
    /// Of these, names about which the lists of names that are kept said in which read-only layer they are, or that
    /// none has them.
    hits;
    /// Of these, names that were searched for layer by layer.
    misses;
    /// Looks into a read-only layer for these.
    probes;
    /// Files that were opened.
    opens;
    /// Of these, files that the kernel reads and writes itself, without the server.
    passthrough;
    /// Files that were copied up with their data shared.
    shared;
    /// Files that were copied up with all of their data copied.
    whole;
    /// Files that were copied up with only what is written of them.
    ranges;
    /// Of these, files that have been completed since.
    settled;
    /// Directories, symbolic links, devices and empty files that were copied up.
    others;
    /// Bytes that were copied while somebody waited for a file to be copied up.
    copied_bytes;
    /// Calls of components that are policies.
    policy_calls;
    /// The time that they took, in nanoseconds.
    policy_nanoseconds;
    /// Policies that were put aside, since they failed or were wrong.
    put_aside;
}

impl Counters {
    /// Count one more.
    pub(crate) fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Call a component that is a policy.
    pub fn policy<T>(&self, call: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let answer = call();
        let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Self::one(&self.policy_calls);
        self.policy_nanoseconds.fetch_add(took, Ordering::Relaxed);
        answer
    }

    /// A policy was put aside.
    pub fn policy_put_aside(&self) {
        Self::one(&self.put_aside);
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all().into_iter().try_for_each(|(name, value)| writeln!(f, "{name} {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_read_again() {
        let counters = Counters::default();
        Counters::one(&counters.lookups);
        counters.copied_bytes.store(u64::MAX, Ordering::Relaxed);
        let read = counters.read();
        assert_eq!(read.lookups, 1);
        assert_eq!(Statistics::parse(&read.to_string()), read);
        assert_eq!(
            Statistics::parse("of_the_future 1\nlookups 1\nnonsense"),
            Statistics { lookups: 1, ..Statistics::default() }
        );
    }
}

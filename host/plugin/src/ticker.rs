//! The clock that stops calls that never end.
//!
//! WebAssembly code compares the engine's epoch with a deadline at every loop and function entry. One thread
//! moves the epoch on, and only while calls are made: it begins with the first call, and sleeps when there has
//! been none for a while.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// How exact a deadline is.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Ticks without a call after which the thread sleeps. A caller that makes many calls does not wake it each time.
const IDLE_TICKS: u32 = 100;

struct Shared {
    engine: Engine,
    calls: AtomicUsize,
    asleep: AtomicBool,
    ended: AtomicBool,
}

pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: OnceLock<Thread>,
    starting: Mutex<()>,
}

/// A call is being made as long as this lives.
pub(crate) struct InFlight<'a>(&'a Shared);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticker {
    pub(crate) fn new(engine: Engine) -> Ticker {
        let shared = Shared {
            engine,
            calls: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        };
        Ticker { shared: Arc::new(shared), thread: OnceLock::new(), starting: Mutex::new(()) }
    }

    /// Make sure that time passes until the guard is dropped.
    ///
    /// The thread first says that it is asleep and then looks for calls; this first counts the call and then
    /// looks whether the thread is asleep. So one of the two sees the other.
    pub(crate) fn enter(&self) -> std::io::Result<InFlight<'_>> {
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        let guard = InFlight(&self.shared);
        let thread = match self.thread.get() {
            Some(thread) => thread,
            None => self.start()?,
        };
        if self.shared.asleep.load(Ordering::SeqCst) {
            thread.unpark();
        }
        Ok(guard)
    }

    fn start(&self) -> std::io::Result<&Thread> {
        let _one: MutexGuard<'_, ()> = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.thread.get().is_none() {
            let shared = Arc::clone(&self.shared);
            let builder = thread::Builder::new().name("nacre-epochs".into()).stack_size(64 << 10);
            let thread = builder.spawn(move || tick(&shared))?;
            let _ = self.thread.set(thread.thread().clone());
        }
        self.thread.get().ok_or_else(|| std::io::Error::other("the clock of components did not start"))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl fmt::Debug for Ticker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Ticker").field("calls", &self.shared.calls).finish_non_exhaustive()
    }
}

fn tick(shared: &Shared) {
    let mut idle = 0;
    while !shared.ended.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        shared.engine.increment_epoch();
        idle = if shared.calls.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
        if idle > IDLE_TICKS {
            shared.asleep.store(true, Ordering::SeqCst);
            if shared.calls.load(Ordering::SeqCst) == 0 && !shared.ended.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}

//! Lua scripts that drive nacre.
//!
//! A script finds the functions of [`nacre_engine`] in one table, `nacre`, with a table for each [`api`] area, and
//! what of Lua's own library cannot get around its limits: see [`sandbox`]. What fails is an object with a code, a
//! message and a hint, which `pcall` gives: see [`Fault`]. Every function is described where it is registered;
//! [`doc`] makes the reference and the annotations for editors of that, and [`check`] finds what is not there.
//!
//! ```no_run
//! use nacre_script::{Host, Limits, Script, Source};
//! let host = Host::new(nacre_engine::Config::default());
//! let script = Script::new(host, &Limits::default()).unwrap();
//! let source = Source::text("hello", "for _, image in ipairs(nacre.image.list()) do print(image.id) end");
//! std::process::exit(script.run(&source, &[]).map_or_else(|uncaught| uncaught.fault.exit_code().into(), i32::from));
//! ```

pub mod api;
pub mod check;
pub mod doc;
mod error;
pub mod events;
pub mod fixture;
mod granted;
mod grants;
mod host;
pub mod library;
pub mod registry;
mod repl;
mod run;
pub mod sandbox;
pub mod serve;
pub mod shipped;
mod similar;
mod suite;
pub mod twins;

pub use error::{CODES, Code, Fault};
pub use grants::Grants;
pub use host::Host;
pub use run::{Script, Source, Uncaught};
pub use sandbox::limits::Limits;
pub use suite::{Test, test};

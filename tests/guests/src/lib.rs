//! Components that misbehave, for tests of whatever has to stand them.

/// A storage driver that does what it is told, all of it bad. It is named `hostile`. What it does is chosen by
/// the option `how` (in `create` and `mount`), or by a layer's id that is none (elsewhere):
///
/// | word | what happens |
/// |---|---|
/// | `loop` | never ends |
/// | `memory` | allocates until it cannot |
/// | `stack` | calls itself without an end |
/// | `panic` | panics, saying `the pearl is gone` |
/// | `trap` | executes `unreachable` |
/// | `escape` | a step on `../x` |
/// | `absolute` | a step on `/etc/x` |
/// | `link` | a symbolic link to `../../../etc` |
/// | `ungranted` | a step that it is not granted (`mount-tmpfs`) |
/// | `foreign` | a step on another layer's folder |
/// | `reach` | a step on the parent's folder, by the detour of a symbolic link |
/// | `content` | a good plan, and a content directory that belongs to no layer |
/// | `steps` | a plan of 100,000 steps |
/// | `bytes` | a plan with a list that says it has a gibibyte, most of it one string again and again |
/// | `path` | a step on a path of 100,000 bytes |
/// | `log` | 100,000 messages of 10 KB, then a good plan |
/// | `none` | a good plan |
pub static HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-hostile.wasm"));

/// A storage driver whose description is another one at each call.
pub static FICKLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-fickle.wasm"));

/// A storage driver that is wrong in one way at a time, for the conformance suite. It is named `broken`, and its
/// option `how` chooses the way:
///
/// | word | what it does |
/// |---|---|
/// | `none` | nothing wrong |
/// | `loses-whiteouts` | says that deleted names need not be written into image layers |
/// | `forgets-opaque` | mounts so that directories that hide what lies below do not |
/// | `copies-up-metadata-only` | copies a changed file's attributes up, and not its content |
/// | `renames-by-reference` | leaves the content of a moved directory where it was, with a note |
/// | `shares-an-upper` | gives all containers the same writable directory |
/// | `reorders-layers` | mounts the oldest layer on top |
/// | `drops-a-parent` | forgets the oldest layer of a chain |
/// | `leaks-a-mount` | does not unmount |
/// | `leaks-a-folder` | removes only a part of a layer |
/// | `wrong-usage` | charges a layer with a directory that is empty |
/// | `wrong-difference` | says that the changes are in that directory |
/// | `wrong-target` | says that the tree is where only the changes are |
/// | `wrong-root-mode` | makes the root of the tree private |
/// | `mounts-read-only` | mounts containers so that nothing can be written |
/// | `changes-parents` | starts a container with hard links to its parent's files |
/// | `promises-too-much` | promises deeper chains than it can mount |
/// | `loses-state` | forgets all containers when it removes one |
/// | `loses-writes` | keeps what containers write in memory until they are unmounted |
/// | `leaves-half-made` | makes its folder in a way that is not undone |
/// | `removes-only-once` | plans a removal that cannot be repeated |
/// | `disowns-layers` | says that the folders of its layers are none of them |
pub static BROKEN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-broken.wasm"));

/// A selection policy named `contrary`. It takes the driver that its option `prefers` names. Its option `how` has it
/// `panic`, `loop`, rank a driver that is none (`invents`), or pass over what the user named (`ignores`).
pub static CONTRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-policy.wasm"));

/// A search policy named `liar`, which is not trusted. Its option `how` has it pass over all layers (`hides`), `panic`,
/// `loop` or use too much `memory` once as many answers were good as its option `after` says; or `panic-in-open`,
/// `panic-in-index`, or make an index of 17 MiB (`huge-index`).
pub static LIAR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-search.wasm"));

/// A cache policy named `hoarder`. Its option `how` has it name a victim that is not kept (`nonsense`), that was admitted
/// just now (`newest`), or none (`nothing`, which is allowed); or panic or loop in a function (`panic-in-victim`).
pub static HOARDER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-cache.wasm"));

/// A copy-up policy named `forger`. Its option `how` has it choose `metadata-only` for all files, `panic`, or `loop`.
pub static FORGER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-guest-copy-up.wasm"));

/// The smallest driver, `drivers/plain`, which does not ship inside nacre.
pub static PLAIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nacre-driver-plain.wasm"));

/// Bytes that are no WebAssembly.
pub static GARBAGE: &[u8] = b"#!/bin/sh\nexec evil\n";

/// The smallest core module.
pub static CORE_MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A valid component that does nothing but import `wasi:cli/environment@0.2.0`
/// (component model, Binary.md: one empty instance type, and an import of it).
pub static IMPORTS_WASI: &[u8] =
    b"\0asm\x0d\0\x01\0\x07\x03\x01\x42\0\x0a\x1f\x01\0\x1awasi:cli/environment@0.2.0\x05\0";

/// A valid component that imports nothing and exports nothing.
pub static EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

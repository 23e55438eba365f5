//! nacre's use cases: load an image, create, mount, diff, commit, remove

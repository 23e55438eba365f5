//! A stack of layers as one tree: search, differences

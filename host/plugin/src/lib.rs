//! Components behind typed traits: limits, cache, state

//! What a nacre component is written with

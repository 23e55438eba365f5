//! Image archives and layer tars, read and written

pub mod digest;
pub mod image;
pub mod layer;
pub mod reference;

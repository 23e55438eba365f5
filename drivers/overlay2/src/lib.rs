//! Docker's overlay2, as a nacre component

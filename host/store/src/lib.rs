//! What nacre knows: content by digest, layers, images, containers, the journal

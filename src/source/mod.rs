//! From a reference to verified bytes, and the artifact store.

//! All that is done to a cluster.

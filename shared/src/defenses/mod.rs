//! Defenses by the moment at which they act, one file each.

//! Poisonings and backdoors, one file each.

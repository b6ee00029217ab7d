//! Pure functions of evidence.

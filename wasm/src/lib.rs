//! Browser bindings: no model code lives here.

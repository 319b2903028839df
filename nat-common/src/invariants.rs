//! Tests of the crate as a whole: layout (invariant 8) and freedom from panics (invariant 7).

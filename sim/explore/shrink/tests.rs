//! Tests of the shrinker.

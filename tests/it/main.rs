//! The one integration binary.

mod common;
mod digests;
mod tidy;

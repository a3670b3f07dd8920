//! The part of `src/platform.rs` that is fuzzed. The rest needs more of the crate's dependencies.

use ::base64::engine::GeneralPurposeConfig;
pub use ::base64::engine::Simd as Base64;

pub fn base64(config: GeneralPurposeConfig) -> Base64 {
    Base64::standard(config)
}

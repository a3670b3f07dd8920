//! Standard base64, vectorised where the processor can.

use ::base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

/// Padding is optional, the alphabet is not.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
type Engine = ::base64::engine::Simd;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
type Engine = ::base64::engine::GeneralPurpose;

/// The standard alphabet. Encoding pads; decoding accepts input with and without padding.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub static BASE64: std::sync::LazyLock<Engine> =
    std::sync::LazyLock::new(|| Engine::standard(CONFIG));
/// The standard alphabet. Encoding pads; decoding accepts input with and without padding.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub static BASE64: Engine = Engine::new(&::base64::alphabet::STANDARD, CONFIG);

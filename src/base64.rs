//! Standard base64.

use std::sync::LazyLock;

use ::base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use crate::platform::{Base64, base64};

/// Padding is optional, the alphabet is not.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The standard alphabet. Encoding pads; decoding accepts input with and without padding.
pub static BASE64: LazyLock<Base64> = LazyLock::new(|| base64(CONFIG));

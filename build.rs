//! Names the platform if it is not supported, rather than let the build fail somewhere.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let value = |name| env::var(name).unwrap_or_default();
    let system = value("CARGO_CFG_TARGET_OS");
    let is_supported = ["linux", "macos", "windows"].contains(&system.as_str())
        && value("CARGO_CFG_TARGET_POINTER_WIDTH") == "64";
    if !is_supported {
        println!(
            "cargo::error=replicate-rs does not support {}, only Linux, macOS and Windows on \
             processors with 64 bits (docs/platforms.md)",
            value("TARGET")
        );
    }
}

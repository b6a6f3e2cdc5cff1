//! Looks for the hwloc library when feature `hwloc` asks for it, and sets `cfg(have_hwloc)` if it
//! is there.
//!
//! A feature that broke the build on machines without a C library could not be part of
//! `--all-features`; so without the library the crate compiles and reads sysfs. Installing the
//! library later needs `cargo clean -p actor-core`. `ACTOR_NO_HWLOC=1` acts as if it were missing.
//!
//! Only hwloc 2, and only where pointers have 64 bits: the binding declares a C structure from
//! which hwloc 3 differs, and leaves out a field that alignment makes good on 64 bits alone.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ACTOR_NO_HWLOC");
    #[cfg(feature = "hwloc")]
    {
        let wide = std::env::var("CARGO_CFG_TARGET_POINTER_WIDTH").is_ok_and(|bits| bits == "64");
        let wanted = std::env::var_os("ACTOR_NO_HWLOC").is_none_or(|value| value.is_empty());
        // The binding's own build script tells the linker; telling it twice does no good.
        let found = pkg_config::Config::new()
            .cargo_metadata(false)
            .env_metadata(true)
            .range_version("2.0.0".."3.0.0")
            .probe("hwloc");
        match found {
            Ok(_) if wide && wanted => println!("cargo::rustc-cfg=have_hwloc"),
            Ok(_) => println!(
                "cargo::warning=hwloc left out: ACTOR_NO_HWLOC is set or pointers are not 64 bits wide"
            ),
            Err(_) => println!(
                "cargo::warning=hwloc 2 not found (Debian: libhwloc-dev, pkg-config), sysfs is used instead"
            ),
        }
    }
}

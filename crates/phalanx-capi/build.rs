//! Tells the linker what the shared library is called once it is installed, and that it stays in a process for good: threads
//! of its own may run in it (the watchdog's, a team's), and threads of the program have storage that it cleans up.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libphalanx.so.0");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

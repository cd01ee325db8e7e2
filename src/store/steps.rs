//! The steps of writing, for tests that kill the process between any two of them. Nothing in release builds.

/// A step is done. In a debug build the process kills itself here when `LAKEHUNT_KILL_AT_STEP` counts to this one.
#[cfg(debug_assertions)]
pub fn step() {
    use std::sync::atomic::{AtomicU64, Ordering};

    static DONE: AtomicU64 = AtomicU64::new(0);
    let done = DONE.fetch_add(1, Ordering::SeqCst) + 1;
    let at = std::env::var("LAKEHUNT_KILL_AT_STEP").ok();
    if at.and_then(|at| at.parse().ok()) != Some(done) {
        return;
    }
    let own = std::process::id().to_string();
    // As a machine that loses its power: no destructor runs, nothing is flushed.
    let _ = std::process::Command::new("kill")
        .args(["-KILL", &own])
        .status();
    loop {
        std::thread::park();
    }
}

/// A step is done.
#[cfg(not(debug_assertions))]
pub const fn step() {}

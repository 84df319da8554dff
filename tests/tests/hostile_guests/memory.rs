//! The memory of a hostile policy is freed. The test needs its own process, because it measures resident memory.
#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, unreachable_pub, reason = "shared with the other test")]
mod bundle;

use std::time::Duration;

use bundle::{HOSTILE, engine, judged, registry};

#[test]
fn what_a_bomb_took_is_given_back() {
    let engine = engine();
    let bomb = registry(&engine, &HOSTILE, &["memory-eater", "huge-output", "well-behaved"]);
    let review = || {
        let (verdict, _) = judged(&bomb, Duration::from_secs(10));
        assert_eq!((verdict.failed.len(), verdict.judged.len()), (2, 1), "{:?}", verdict.failed);
    };
    // Each of these policies uses its 48 MiB, and then uses them again in the repeat.
    for _ in 0..5 {
        review();
    }
    let before = resident();
    for _ in 0..50 {
        review();
    }
    let after = resident();
    println!("resident: {before} KiB after 5 bombs, {after} KiB after 55");
    assert!(after < before + (8 << 10), "{before} KiB before, {after} KiB after 50 more bombs of 48 MiB");
    assert!(after < 160 << 10, "{after} KiB are resident, though nothing is under way");
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

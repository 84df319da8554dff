//! The processor time of the current thread. Guests are limited by processor time instead of wall time, so that a busy
//! machine changes no verdict.

use std::time::Duration;

/// Processor time that this thread has used. On systems without it, wall time.
pub(super) fn thread_time() -> Duration {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: it writes to the given struct, which outlives the call.
        #[expect(unsafe_code, reason = "the standard library does not tell the time of a thread")]
        let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        if let (0, Ok(seconds), Ok(nanoseconds)) = (status, seconds, nanoseconds) {
            return Duration::new(seconds, nanoseconds);
        }
    }
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_takes_none() {
        let before = thread_time();
        std::thread::sleep(Duration::from_millis(50));
        let slept = thread_time() - before;
        assert!(slept < Duration::from_millis(25), "{slept:?}");
        let started = std::time::Instant::now();
        while thread_time() - before < Duration::from_millis(20) {
            assert!(started.elapsed() < Duration::from_secs(20), "computing takes time");
        }
    }
}

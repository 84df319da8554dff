//! What the allocator keeps after a large review.

/// Gives freed memory back to the system. glibc keeps what each thread has freed, which after a few large reviews is more than
/// everything else; other allocators need no such call.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes no pointer, and memory in use stays where it is.
        #[expect(unsafe_code, reason = "the standard library does not speak to the allocator")]
        let _ = unsafe { libc::malloc_trim(0) };
    }
}

//! What the allocator keeps after a large review.

/// Size from which glibc maps a block by itself and gives it back as soon as it is freed, and of the free memory at the end of a
/// heap from which it shrinks the heap. glibc starts with smaller ones, but raises both with every large block that is freed, up
/// to 64 MiB that each thread then keeps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;

/// Has the allocator keep little of what is freed. Called once, before there are threads; other allocators need no such call.
pub fn keep_little_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: it takes no pointer, and what is allocated stays as it is.
        #[expect(unsafe_code, reason = "the standard library does not speak to the allocator")]
        let _ = unsafe { libc::mallopt(parameter, LARGE) };
    }
}

/// Gives freed memory back to the system, in the free pages between what is in use, which [`keep_little_memory`] does not reach.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes no pointer, and memory in use stays where it is.
        #[expect(unsafe_code, reason = "the standard library does not speak to the allocator")]
        let _ = unsafe { libc::malloc_trim(0) };
    }
}

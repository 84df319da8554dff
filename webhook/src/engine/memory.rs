//! The memory that the allocator keeps after a large review.

/// Two thresholds of glibc, in bytes. A larger block gets its own mapping, and is returned to the system when it is
/// freed. A heap shrinks if its free end is larger. By default glibc starts lower, and raises both with every large
/// block that is freed, up to 64 MiB. Each thread then keeps that much.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 1 << 20;

/// Makes the allocator keep little freed memory. Called once, before there are threads. Other allocators don't need it.
pub fn keep_little_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: it takes no pointer, and existing allocations are not changed.
        #[expect(unsafe_code, reason = "the standard library does not speak to the allocator")]
        let _ = unsafe { libc::mallopt(parameter, LARGE) };
    }
}

/// Returns freed memory to the system: the free pages between used ones, which [`keep_little_memory`] does not affect.
pub fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it takes no pointer, and memory in use is not moved.
        #[expect(unsafe_code, reason = "the standard library does not speak to the allocator")]
        let _ = unsafe { libc::malloc_trim(0) };
    }
}

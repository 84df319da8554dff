//! The allocator of a guest. An instance lives for one review, and the host drops it as a whole. So an allocation only
//! moves a pointer, and most freed blocks are not used again.
//!
//! When no block is in use any more, which is after each call, the allocator starts again at the beginning. Otherwise
//! the old version of an object, which is judged on the same instance, would find half of the memory used.
//!
//! The heap begins in the memory that an instance has from its start. A review of the usual size therefore never grows
//! the memory, which would cost two system calls each time.
#![allow(unsafe_code, reason = "an allocator hands out memory; docs/adr/0002 says what it saves")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::Cell;
use core::ptr;

const PAGE: usize = 64 << 10;

#[global_allocator]
static ALLOCATOR: Bump = Bump { next: Cell::new(0), used: Cell::new(0) };

struct Bump {
    /// The first free byte; 0 before the first allocation.
    next: Cell<usize>,
    /// Number of blocks that are in use.
    used: Cell<usize>,
}

// SAFETY: a guest has one thread, because the host rejects the threads proposal.
unsafe impl Sync for Bump {}

unsafe extern "C" {
    /// End of stack and data, set by the linker.
    static __heap_base: u8;
}

impl Bump {
    fn next(&self) -> usize {
        match self.next.get() {
            0 => (&raw const __heap_base) as usize,
            next => next,
        }
    }

    /// Grows the memory up to `end`. False if the host does not allow it.
    fn reach(end: usize) -> bool {
        let have = memory_size(0) * PAGE;
        end <= have || memory_grow(0, (end - have).div_ceil(PAGE)) != usize::MAX
    }
}

// SAFETY: every block lies behind all blocks that are in use, lies within the memory, and has the requested alignment.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.next().checked_next_multiple_of(layout.align());
        let Some((start, end)) = start.and_then(|start| Some((start, start.checked_add(layout.size())?))) else {
            return ptr::null_mut();
        };
        if !Self::reach(end) {
            return ptr::null_mut();
        }
        self.next.set(end);
        self.used.set(self.used.get() + 1);
        start as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let used = self.used.get() - 1;
        self.used.set(used);
        // The newest block is freed at once, so that a vector that lives for one expression costs nothing.
        if used == 0 {
            self.next.set(0);
        } else if block as usize + layout.size() == self.next.get() {
            self.next.set(block as usize);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let newest = block as usize + layout.size() == self.next.get();
        if newest {
            let Some(end) = (block as usize).checked_add(size).filter(|end| Self::reach(*end)) else {
                return ptr::null_mut();
            };
            self.next.set(end);
            return block;
        }
        if size <= layout.size() {
            return block;
        }
        // SAFETY: the caller guarantees that `size` is not 0 and fits the alignment.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: the new block lies behind the old one, and is larger.
            unsafe { ptr::copy_nonoverlapping(block, moved, layout.size()) };
            self.used.set(self.used.get() - 1);
        }
        moved
    }
}

//! The end of a program that has run out of memory: one line, exit code 1.
//!
//! Rust's own end is an abort, with a backtrace and without a word of rank or purpose.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::Duration;

/// The system's allocator, but that a failure ends the program by [`ran_out`].
///
/// Costs a comparison with null per allocation. `try_reserve` ends the program as well.
pub struct Allocator;

// SAFETY: hands every call on to the system's allocator, as it came, and returns what that
// returned unless it is null, when it does not return.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same function.
        found(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same function.
        found(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller keeps the contract of the same function.
        found(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of the same function.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline(always)]
fn found(block: *mut u8, bytes: usize) -> *mut u8 {
    if block.is_null() {
        ran_out(bytes);
    }
    block
}

/// Prints the last message and ends the program. Must not allocate.
type End = fn(Arguments) -> !;

static END: OnceLock<End> = OnceLock::new();
/// Structure that memory is being allocated for.
static PURPOSE: Mutex<&str> = Mutex::new("");
/// Room for the message to get out: the MPI library takes some of its own.
static BALLAST: Mutex<Option<Vec<u8>>> = Mutex::new(None);
const BALLAST_BYTES: usize = 1 << 20;
/// Set by the first thread that fails.
static SPOKEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Returns whether this is that thread.
    static SPEAKS: Cell<bool> = const { Cell::new(false) };
}

/// From now on `end` is told where memory runs out.
pub fn end_with(end: End) {
    // A second caller changes nothing.
    let _ = END.set(end);
    if let Ok(mut ballast) = BALLAST.lock() {
        // Never touched, it takes addresses and no memory.
        *ballast = Some(vec![0; BALLAST_BYTES]);
    }
}

/// Notes what memory is taken for from now on, such as the name of a structure; for the message.
pub fn working_on(purpose: &'static str) {
    if let Ok(mut noted) = PURPOSE.lock() {
        *noted = purpose;
    }
}

/// Ends the program where `bytes` bytes cannot be had.
#[cold]
pub fn ran_out(bytes: usize) -> ! {
    let (Some(end), false) = (END.get(), SPEAKS.get()) else {
        // Nobody to tell, or not even that works.
        std::process::abort();
    };
    if SPOKEN.swap(true, Ordering::Relaxed) {
        // Another thread is about to end all of them.
        loop {
            sleep(Duration::from_secs(1));
        }
    }
    SPEAKS.set(true);
    if let Ok(mut ballast) = BALLAST.try_lock() {
        *ballast = None;
    }
    let purpose = PURPOSE.try_lock().map_or("", |noted| *noted);
    let for_what = if purpose.is_empty() { "" } else { " for " };
    end(format_args!(
        "out of memory: cannot get {bytes} bytes{for_what}{purpose}: try more ranks on more \
         machines, fewer threads or a smaller network, or raise the limit (ulimit -v)"
    ))
}

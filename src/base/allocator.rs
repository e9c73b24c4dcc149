//! Global allocator that ends the program with a one-line message and exit code 1 when memory
//! runs out.
//!
//! Rust's default is an abort with a backtrace that names neither the rank nor the purpose.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Arguments;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::Duration;

/// System allocator whose failures end the program through [`ran_out`].
///
/// Costs one comparison with null per allocation. A failed `try_reserve` ends the program, too.
pub struct Allocator;

// SAFETY: forwards every call unchanged to the system allocator and returns its result. If the
// result is null, it does not return.
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

/// Function that prints the last message and ends the program. It must not allocate.
type End = fn(Arguments) -> !;

static END: OnceLock<End> = OnceLock::new();
/// Name of the structure that memory is currently allocated for; empty if none.
static PURPOSE: Mutex<&str> = Mutex::new("");
/// Reserve that is freed before the message is printed, because the MPI library allocates too.
static BALLAST: Mutex<Option<Vec<u8>>> = Mutex::new(None);
const BALLAST_BYTES: usize = 1 << 20;
/// Set by the first thread whose allocation fails.
static SPOKEN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Set on the thread that prints the message.
    static SPEAKS: Cell<bool> = const { Cell::new(false) };
}

/// Registers `end` as the function that [`ran_out`] calls. Later calls have no effect.
pub fn end_with(end: End) {
    // An error means that a function is registered already; it stays.
    let _ = END.set(end);
    if let Ok(mut ballast) = BALLAST.lock() {
        // The pages are never touched: they take address space but no memory.
        *ballast = Some(vec![0; BALLAST_BYTES]);
    }
}

/// Sets the purpose of the following allocations, such as a structure's name, for the message.
pub fn working_on(purpose: &'static str) {
    if let Ok(mut noted) = PURPOSE.lock() {
        *noted = purpose;
    }
}

/// Ends the program after an allocation of `bytes` bytes failed.
#[cold]
pub fn ran_out(bytes: usize) -> ! {
    let (Some(end), false) = (END.get(), SPEAKS.get()) else {
        // No function is registered, or it ran out of memory itself.
        std::process::abort();
    };
    if SPOKEN.swap(true, Ordering::Relaxed) {
        // Another thread is about to end the process.
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

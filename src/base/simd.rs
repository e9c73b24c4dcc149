//! Compiles hot loops for several vector instruction sets and selects one at run time.
//!
//! A [`Kernel`] is plain Rust. [`run`] calls the copy that was compiled for the instruction set
//! in use: the widest that this machine supports, or the one that the environment variable
//! [`FORCE`] names. All copies give bit-identical results: they differ in the number of elements
//! processed at once, never in the operations on one element.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::base::error::{Error, Result};

/// Hot loop that is compiled once per instruction set. `run` and all functions that it calls in
/// its inner loops must be `#[inline(always)]`, or they are compiled for the baseline; a test of the
/// release build looks for a `run` that is not inlined.
pub trait Kernel {
    /// Result of the loop.
    type Output;
    /// Runs the loop.
    fn run(self) -> Self::Output;
}

/// Vector instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum InstructionSet {
    /// Baseline of the compilation target; SSE2 on x86-64.
    Portable = 1,
    /// AVX2, vectors of 32 bytes.
    Avx2 = 2,
    /// AVX-512 F, BW, DQ and VL, vectors of 64 bytes.
    Avx512 = 3,
}

impl InstructionSet {
    /// All instruction sets, the widest last.
    pub const ALL: [InstructionSet; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Returns the name used in [`FORCE`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Returns whether this machine supports it.
    pub fn is_here(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_here()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Returns the widest instruction set that this machine supports.
    pub fn widest() -> Self {
        let here = Self::ALL.into_iter().rfind(|set| set.is_here());
        here.expect("every machine has the portable one")
    }
}

/// Name of the environment variable that sets the instruction set.
pub const FORCE: &str = "STDP_HPC_ISA";

/// Instruction set in use, 0 before the first query. It is always one that this machine supports.
static IN_USE: AtomicU8 = AtomicU8::new(0);

/// Selects the instruction set that [`FORCE`] names, or the widest of this machine if it is not
/// set, and returns its name.
///
/// # Errors
/// Fails if the name is unknown or this machine does not support the instruction set.
pub fn choose() -> Result<&'static str> {
    let set = match std::env::var_os(FORCE) {
        None => InstructionSet::widest(),
        Some(name) => {
            let name = name.to_string_lossy();
            named(&name).map_err(|must| Error::input(format!("{FORCE} = {name:?}: {must}")))?
        }
    };
    IN_USE.store(set as u8, Ordering::Relaxed);
    Ok(set.name())
}

/// Returns the instruction set called `name`, or a message that lists the allowed names.
fn named(name: &str) -> std::result::Result<InstructionSet, String> {
    let known = InstructionSet::ALL;
    let names = |sets: &mut dyn Iterator<Item = InstructionSet>| {
        let names: Vec<_> = sets.map(InstructionSet::name).collect();
        names.join(", ")
    };
    match known.into_iter().find(|set| set.name() == name) {
        None => Err(format!("must be one of {}", names(&mut known.into_iter()))),
        Some(set) if !set.is_here() => Err(format!(
            "this machine lacks it; it has {}",
            names(&mut known.into_iter().filter(|set| set.is_here()))
        )),
        Some(set) => Ok(set),
    }
}

/// Returns the instruction set in use: the widest of this machine unless [`choose`] set another.
#[inline(always)]
pub fn in_use() -> InstructionSet {
    match IN_USE.load(Ordering::Relaxed) {
        1 => InstructionSet::Portable,
        2 => InstructionSet::Avx2,
        3 => InstructionSet::Avx512,
        _ => first_use(),
    }
}

#[cold]
#[inline(never)]
fn first_use() -> InstructionSet {
    let set = InstructionSet::widest();
    // If another thread has set one in the meantime, that one is kept.
    let _ = IN_USE.compare_exchange(0, set as u8, Ordering::Relaxed, Ordering::Relaxed);
    in_use()
}

/// Runs `kernel` on the instruction set in use. Costs one load and one branch.
#[inline]
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    match in_use() {
        // SAFETY: `in_use` returns only values that `choose` and `first_use` have stored. Both
        // store only instruction sets that this machine supports.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { run_avx2(kernel) },
        _ => kernel.run(),
    }
}

/// Runs `kernel` on `set` instead of the instruction set in use, for tests and measurements.
/// Kernels that `kernel` passes to [`run`] still use the instruction set in use.
///
/// # Panics
/// Panics if this machine does not support `set`.
pub fn run_on<K: Kernel>(set: InstructionSet, kernel: K) -> K::Output {
    assert!(set.is_here(), "this machine lacks {}", set.name());
    match set {
        // SAFETY: the assertion above has checked that this machine supports it.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { run_avx2(kernel) },
        _ => kernel.run(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

/// Bytes per cache line.
pub const LINE: usize = 64;

/// Prefetches `slice[index]` into the L1 cache. Any index is allowed; only speed changes.
#[inline(always)]
pub fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads no value and never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(slice.as_ptr().wrapping_add(index).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, index);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_machine() {
        for set in InstructionSet::ALL {
            let found = named(set.name());
            if set.is_here() {
                assert_eq!(found, Ok(set));
            } else {
                let message = found.expect_err("not here");
                assert!(message.starts_with("this machine lacks it; it has portable"));
                assert!(!message.contains(set.name()), "{message}");
            }
        }
        let message = "must be one of portable, avx2, avx512";
        for wrong in ["", "AVX2", "sse9"] {
            assert_eq!(named(wrong), Err(message.to_owned()));
        }
    }

    struct Sum<'a>(&'a [f64]);

    impl Kernel for Sum<'_> {
        type Output = f64;

        #[inline(always)]
        fn run(self) -> f64 {
            self.0.iter().sum()
        }
    }

    #[test]
    fn every_set_here_runs() {
        let numbers: Vec<f64> = (0..1001).map(f64::from).map(f64::sqrt).collect();
        let expected: f64 = numbers.iter().sum();
        assert_eq!(run(Sum(&numbers)), expected);
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_here()) {
            assert_eq!(run_on(set, Sum(&numbers)), expected);
        }
        assert!(in_use().is_here());
    }
}

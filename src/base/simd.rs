//! One place where hot loops are compiled for the vector units of the machine at hand.
//!
//! A [`Kernel`] is plain Rust; [`run`] calls the copy of it that the compiler made for the
//! instruction set in use: the widest this machine has, or the one that the environment
//! variable [`FORCE`] names. All copies give the same bits: they differ in how many elements
//! go at once, never in the operations on one element.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::base::error::{Error, Result};

/// A loop worth compiling more than once. `run` must be `#[inline(always)]`, as must be
/// what it calls in its inner loops.
pub trait Kernel {
    /// What the loop returns.
    type Output;
    /// The loop.
    fn run(self) -> Self::Output;
}

/// What kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum InstructionSet {
    /// What every machine of the target has; SSE2 on x86-64.
    Portable = 1,
    /// Vectors of 32 bytes.
    Avx2 = 2,
    /// Vectors of 64 bytes: the extensions F, BW, DQ and VL.
    Avx512 = 3,
}

impl InstructionSet {
    /// All, the widest last.
    pub const ALL: [InstructionSet; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// As [`FORCE`] names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this machine has it.
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

    /// The widest that this machine has.
    pub fn widest() -> Self {
        let here = Self::ALL.into_iter().rfind(|set| set.is_here());
        here.expect("every machine has the portable one")
    }
}

/// Environment variable that names the instruction set to use.
pub const FORCE: &str = "STDP_HPC_ISA";

/// The instruction set in use, 0 before the first question. Only ever one that is here.
static IN_USE: AtomicU8 = AtomicU8::new(0);

/// Takes the instruction set that [`FORCE`] names into use, else the widest of this machine,
/// and returns its name.
///
/// Errors: an unknown one, or one that this machine lacks.
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

/// The instruction set of this name, or what the name must be.
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

/// The instruction set in use; without [`choose`] the widest of this machine.
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
    // Another thread may have chosen meanwhile: then that stands.
    let _ = IN_USE.compare_exchange(0, set as u8, Ordering::Relaxed, Ordering::Relaxed);
    in_use()
}

/// Runs `kernel` on the instruction set in use. Costs a load and a branch.
#[inline]
pub fn run<K: Kernel>(kernel: K) -> K::Output {
    match in_use() {
        // SAFETY: `in_use` tells only what `choose` and `first_use` have stored, and those
        // have asked the machine whether it is here.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { run_avx512(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { run_avx2(kernel) },
        _ => kernel.run(),
    }
}

/// Runs `kernel` on `set`, whichever is in use: for tests and measurements. What the kernel
/// itself passes to [`run`] goes where that leads.
///
/// Panics where this machine lacks `set`.
pub fn run_on<K: Kernel>(set: InstructionSet, kernel: K) -> K::Output {
    assert!(set.is_here(), "this machine lacks {}", set.name());
    match set {
        // SAFETY: it is here, as was just checked.
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

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Asks for `slice[index]` to be brought near; no effect but on speed, for any index.
#[inline(always)]
pub fn prefetch<T>(slice: &[T], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults on no address.
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

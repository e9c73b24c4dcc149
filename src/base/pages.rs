//! Arrays on huge pages: for data that a thread traverses in every interval, and for large data that
//! it reads in random places, where the translation of every address would miss the TLB.

use crate::base::sizes::whole;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

use bytemuck::Pod;
use memmap2::MmapMut;

use crate::base::allocator;

/// Array in physically contiguous memory, if the system has huge pages.
///
/// Pages of 4 KiB are scattered in physical memory, and pages of threads that build at the same
/// time alternate. An array that just fits the level-2 cache then conflicts with itself. Arrays
/// of 512 KiB and more occupy whole pages of 2 MiB.
pub struct HugeArray<T> {
    map: MmapMut,
    /// Byte range of the array in `map`.
    range: Range<usize>,
    of: PhantomData<T>,
}

/// Bytes per huge page.
const HUGE: usize = 1 << 21;
/// Minimum size for huge pages (bytes). Smaller arrays do not gain from them.
const WORTHWHILE: usize = HUGE / 4;

impl<T: Pod> HugeArray<T> {
    /// Creates an array of `len` zeros. Ends the program if memory runs out.
    pub fn zeroed(len: usize) -> Self {
        let bytes = len * size_of::<T>();
        let whole = Self::bytes(len as u64) as usize;
        // Pages that are never touched take no memory.
        let map =
            MmapMut::map_anon(whole + HUGE).unwrap_or_else(|_| allocator::ran_out(whole + HUGE));
        let start = map.as_ptr().align_offset(HUGE);
        #[cfg(target_os = "linux")]
        if bytes >= WORTHWHILE {
            // This is only advice: with small pages the array works too, but slower.
            let _ = map.advise_range(memmap2::Advice::HugePage, start, whole);
        }
        HugeArray {
            map,
            range: start..start + bytes,
            of: PhantomData,
        }
    }
}

/// Memory accounting.
impl<T> HugeArray<T> {
    /// Returns the bytes that an array of `len` elements takes, if the system has huge pages.
    pub fn bytes(len: u64) -> u64 {
        let bytes = len.saturating_mul(size_of::<T>() as u64);
        if bytes < WORTHWHILE as u64 {
            bytes
        } else {
            whole(bytes, HUGE as u64)
        }
    }

    /// Returns the bytes that this array takes, if the system has huge pages.
    pub fn held(&self) -> u64 {
        Self::bytes((self.range.len() / size_of::<T>()) as u64)
    }
}

impl<T: Pod> Deref for HugeArray<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        bytemuck::cast_slice(&self.map[self.range.clone()])
    }
}

impl<T: Pod> DerefMut for HugeArray<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.map[self.range.clone()])
    }
}

/// Returns an empty vector with room for `len` elements, on huge pages as far as it covers whole
/// ones and the system has them. They are taken as the vector is filled.
pub fn with_capacity<T>(len: usize) -> Vec<T> {
    let vec: Vec<T> = Vec::with_capacity(len);
    #[cfg(target_os = "linux")]
    advise(vec.as_ptr().cast(), len * size_of::<T>());
    vec
}

/// Returns a vector of `len` times `value`, as [`with_capacity`] does.
pub fn filled<T: Copy>(value: T, len: usize) -> Vec<T> {
    let mut vec = with_capacity(len);
    vec.resize(len, value);
    vec
}

/// Returns `items`, `len` of them, in a vector as [`with_capacity`] makes.
pub fn collect<T>(len: usize, items: impl Iterator<Item = T>) -> Vec<T> {
    let mut vec = with_capacity(len);
    vec.extend(items);
    vec
}

/// Advises the system to use huge pages for those that lie wholly within `bytes` bytes from `start`.
#[cfg(target_os = "linux")]
fn advise(start: *const u8, bytes: usize) {
    let before = start.align_offset(HUGE);
    let whole = bytes.saturating_sub(before) / HUGE * HUGE;
    if whole > 0 {
        // SAFETY: the range is within an allocation. The advice changes no value, and its failure
        // only costs speed.
        unsafe { libc::madvise(start.add(before) as *mut _, whole, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_any_length_are_zero_aligned_and_apart() {
        for len in [0, 1, 1000, WORTHWHILE / 8, HUGE / 8, HUGE / 8 + 1, HUGE] {
            let mut first = HugeArray::<f64>::zeroed(len);
            let second = HugeArray::<f64>::zeroed(len);
            assert_eq!(first.len(), len);
            assert!(first.as_ptr().addr().is_multiple_of(HUGE));
            first.fill(1.0);
            assert!(first.iter().all(|&x| x == 1.0) && second.iter().all(|&x| x == 0.0));
        }
    }
}

//! Arrays that a thread goes through in every interval, on huge pages.

use crate::base::sizes::whole;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

use bytemuck::Pod;
use memmap2::MmapMut;

use crate::base::allocator;

/// An array whose memory is contiguous, where the system has huge pages.
///
/// Pages of 4 KiB lie anywhere in memory, and those of two threads that build at the same time
/// alternate there: then an array that would just fit the level-2 cache collides with itself.
/// From 512 KiB on it takes up whole pages of 2 MiB.
pub struct HugeArray<T> {
    map: MmapMut,
    /// Where the array lies in it.
    range: Range<usize>,
    of: PhantomData<T>,
}

/// Bytes of a huge page.
const HUGE: usize = 1 << 21;
/// Bytes from which on huge pages pay: smaller arrays are in nobody's way.
const WORTHWHILE: usize = HUGE / 4;

impl<T: Pod> HugeArray<T> {
    /// `len` zeros. Ends the program where the system has no memory left.
    pub fn zeroed(len: usize) -> Self {
        let bytes = len * size_of::<T>();
        let whole = Self::bytes(len as u64) as usize;
        // What is not touched takes no memory.
        let map =
            MmapMut::map_anon(whole + HUGE).unwrap_or_else(|_| allocator::ran_out(whole + HUGE));
        let start = map.as_ptr().align_offset(HUGE);
        #[cfg(target_os = "linux")]
        if bytes >= WORTHWHILE {
            // Only advice: on small pages all goes the same way, if slower.
            let _ = map.advise_range(memmap2::Advice::HugePage, start, whole);
        }
        HugeArray {
            map,
            range: start..start + bytes,
            of: PhantomData,
        }
    }
}

/// Memory, in bytes.
impl<T> HugeArray<T> {
    /// Of `len` elements, where the system has huge pages.
    pub fn bytes(len: u64) -> u64 {
        let bytes = len.saturating_mul(size_of::<T>() as u64);
        if bytes < WORTHWHILE as u64 {
            bytes
        } else {
            whole(bytes, HUGE as u64)
        }
    }

    /// Returns the bytes held now.
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

//! Random numbers as functions of (seed, purpose, gid, index).
//!
//! Each pair of neuron and purpose has a separate ChaCha8 stream. The key holds seed, purpose
//! and gid; the position in the stream is the index. Draws of different neurons are independent,
//! therefore results do not depend on the number of ranks and threads.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::base::units::Gid;

/// Purpose of a stream. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Initial membrane potential.
    InitialPotential = 1,
    /// Rate of an `ignore_and_fire` neuron.
    Rate = 2,
    /// Phase of an `ignore_and_fire` neuron.
    Phase = 3,
    /// Excitatory sources of a neuron.
    SourcesE = 4,
    /// Inhibitory sources of a neuron.
    SourcesI = 5,
    /// Poisson counts, 16 bits per step.
    Poisson = 6,
    /// Further 48 bits for the few Poisson draws that 16 bits do not decide.
    PoissonTail = 7,
    /// Ranks that a neuron projects to, drawn in a dry run instead of the network.
    Listeners = 8,
    /// Choice of the synapse of a source whose weight is recorded over time.
    Followed = 9,
}

/// Returns the stream of `purpose` for neuron `gid`, at position 0.
pub fn stream(seed: u64, purpose: Purpose, gid: Gid) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(key(seed, purpose, gid))
}

/// 32-bit words per ChaCha block.
pub const WORDS: usize = 16;

/// One ChaCha block for each of N streams, \[word]\[neuron].
///
/// The neurons of a word are contiguous: [`generate`](Self::generate) compiles to vectors of any
/// width. The alignment suits vectors of 64 bytes: one vector that straddles two pages costs as
/// much as a hundred that do not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct Abreast<const N: usize>(pub [[u32; N]; WORDS]);

impl<const N: usize> Abreast<N> {
    /// Fills in the 16 words of each neuron's [`stream`] from word 16·`block` on.
    ///
    /// Takes a fifth of rand_chacha's time with AVX-512 and N = 64. rand_chacha computes four
    /// blocks of one stream at a time and uses AVX2 at best.
    ///
    /// Source: Bernstein (2008), "ChaCha, a variant of Salsa20".
    #[inline(always)]
    pub fn generate(&mut self, seed: u64, purpose: Purpose, gids: &[Gid; N], block: u64) {
        const DOUBLE_ROUNDS: usize = 4;
        // Index of the gid's low word in the state, the only word that differs between neurons.
        const GID: usize = 8;
        let mut start = [0; 4 * WORDS];
        start[..16].copy_from_slice(b"expand 32-byte k");
        start[16..48].copy_from_slice(&key(seed, purpose, Gid(0)));
        start[48..56].copy_from_slice(&block.to_le_bytes());
        let (start, _) = start.as_chunks();

        let state = &mut self.0;
        for (lanes, &word) in state.iter_mut().zip(start) {
            *lanes = [u32::from_le_bytes(word); N];
        }
        add_gids(&mut state[GID], gids);
        for _ in 0..DOUBLE_ROUNDS {
            for column in 0..4 {
                quarter_round(state, [0, 4, 8, 12].map(|row| row + column));
            }
            for column in 0..4 {
                let diagonal = [0, 1, 2, 3].map(|row| 4 * row + (column + row) % 4);
                quarter_round(state, diagonal);
            }
        }
        for (lanes, &word) in state.iter_mut().zip(start) {
            for lane in lanes {
                *lane = lane.wrapping_add(u32::from_le_bytes(word));
            }
        }
        add_gids(&mut state[GID], gids);
    }
}

#[inline(always)]
fn add_gids<const N: usize>(lanes: &mut [u32; N], gids: &[Gid; N]) {
    for (lane, gid) in lanes.iter_mut().zip(gids) {
        *lane = lane.wrapping_add(gid.0);
    }
}

#[inline(always)]
fn quarter_round<const N: usize>(state: &mut [[u32; N]; WORDS], words: [usize; 4]) {
    let [a, b, c, d] = state
        .get_disjoint_mut(words)
        .expect("four different words of the state");
    for i in 0..N {
        a[i] = a[i].wrapping_add(b[i]);
        d[i] = (d[i] ^ a[i]).rotate_left(16);
        c[i] = c[i].wrapping_add(d[i]);
        b[i] = (b[i] ^ c[i]).rotate_left(12);
        a[i] = a[i].wrapping_add(b[i]);
        d[i] = (d[i] ^ a[i]).rotate_left(8);
        c[i] = c[i].wrapping_add(d[i]);
        b[i] = (b[i] ^ c[i]).rotate_left(7);
    }
}

fn key(seed: u64, purpose: Purpose, gid: Gid) -> [u8; 32] {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
    key[16..24].copy_from_slice(&u64::from(gid.0).to_le_bytes());
    key
}

/// Draws a uniform number in [0, 1), a multiple of 2⁻⁵³.
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Returns the first number of `purpose` for neuron `gid`, uniform in [low, high).
pub fn uniform(seed: u64, purpose: Purpose, gid: Gid, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * unit(&mut stream(seed, purpose, gid))
}

/// Draws an unbiased uniform integer in [0, n), n ≥ 1.
///
/// Source: Lemire (2019), "Fast random integer generation in an interval",
/// ACM Trans Model Comput Simul 29:3.
#[inline]
pub fn below(rng: &mut impl Rng, n: u32) -> u32 {
    let mut product = u64::from(rng.next_u32()) * u64::from(n);
    if (product as u32) < n {
        let threshold = n.wrapping_neg() % n;
        while (product as u32) < threshold {
            product = u64::from(rng.next_u32()) * u64::from(n);
        }
    }
    (product >> 32) as u32
}

/// Draws a standard normal variate with the transform of Box & Muller (1958).
pub fn normal(rng: &mut impl Rng) -> f64 {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - unit(rng)));
    radius * libm::cos(std::f64::consts::TAU * unit(rng))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_seed_purpose_and_gid_and_repeat() {
        let first = |seed, purpose, gid| stream(seed, purpose, Gid(gid)).next_u64();
        let here = first(1, Purpose::Rate, 5);
        assert_eq!(here, first(1, Purpose::Rate, 5));
        assert_ne!(here, first(2, Purpose::Rate, 5));
        assert_ne!(here, first(1, Purpose::Phase, 5));
        assert_ne!(here, first(1, Purpose::Rate, 6));
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = stream(3, Purpose::SourcesE, Gid(0));
        let (n, draws) = (7, 70_000);
        let mut counts = [0u32; 7];
        for _ in 0..draws {
            counts[below(&mut rng, n) as usize] += 1;
        }
        let expected = f64::from(draws) / f64::from(n);
        let chi2: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - expected).powi(2) / expected)
            .sum();
        assert!(
            chi2 < 22.5,
            "chi² = {chi2} at 6 degrees of freedom (p = 0.001)"
        );
    }

    #[test]
    fn normal_has_its_moments() {
        let mut rng = stream(3, Purpose::InitialPotential, Gid(0));
        let x: Vec<f64> = (0..100_000).map(|_| normal(&mut rng)).collect();
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let var = x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64;
        assert!(
            mean.abs() < 0.015 && (var - 1.0).abs() < 0.02,
            "{mean} {var}"
        );
    }
}

use super::*;
use crate::base::simd::InstructionSet;

/// Returns the counts of a group of neurons for `blocks` blocks after the first,
/// \[block]\[step]\[neuron].
fn drawn(mean: f64, seed: u64, group: u32, blocks: usize) -> Vec<[[u16; GROUP]; BLOCK]> {
    let gids = (group * GROUP as u32..).take(GROUP).map(Gid).collect();
    let mut input = Input::poisson(mean, Steps(1), seed, gids);
    let mut arrivals = BLOCK as i32 + 2..;
    let mut row = |_| arriving(&mut input, 0, arrivals.next().expect("a step"));
    let mut block = |_| std::array::from_fn(|step| row(step).map(|count| count as u16));
    (0..blocks).map(&mut block).collect()
}

fn pmf(mean: f64, k: u32) -> f64 {
    libm::exp(f64::from(k) * libm::log(mean) - mean - libm::lgamma(f64::from(k) + 1.0))
}

#[test]
fn boundaries_are_the_cumulative_distribution() {
    for mean in [0.001, 0.217, 2.0, 17.3, 400.0, 29_000.0] {
        let law = PoissonLaw::new(mean);
        let mut below = 0.0;
        for (i, &b) in law.boundaries.iter().enumerate() {
            below += pmf(mean, u32::from(law.least) + i as u32);
            let error = (b as f64 / 18_446_744_073_709_551_616.0 - below).abs();
            assert!(error < 1e-9, "mean {mean}, count {i}: {error}");
        }
    }
}

#[test]
fn counts_follow_the_distribution() {
    for mean in [0.0, 0.217, 2.0, 33.0] {
        let mut histogram = [0u32; 200];
        let draws = (7 * GROUP * 10 * BLOCK) as u32;
        for group in 0..7 {
            for block in drawn(mean, 7, group, 10) {
                for &count in block.as_flattened() {
                    histogram[usize::from(count)] += 1;
                }
            }
        }
        if mean == 0.0 {
            assert_eq!(histogram[0], draws);
            continue;
        }
        let (mut chi2, mut bins) = (0.0, 0.0);
        for (k, &n) in histogram.iter().enumerate() {
            let expected = pmf(mean, k as u32) * f64::from(draws);
            if expected > 10.0 {
                chi2 += (f64::from(n) - expected).powi(2) / expected;
                bins += 1.0;
            }
        }
        let limit = bins + 4.0 * f64::sqrt(2.0 * bins);
        assert!(chi2 < limit, "mean {mean}: chi² {chi2} over {bins} bins");
    }
}

/// Checks the tail that 16 bits cannot resolve: P(X ≥ 5) = 3.4e-6 at mean 0.217.
#[test]
fn rare_counts_have_their_probability() {
    let (groups, blocks) = (32, 100);
    let mut rare = 0;
    for group in 0..groups {
        for block in drawn(0.217, 1, group, blocks) {
            rare += block.as_flattened().iter().filter(|&&c| c >= 5).count();
        }
    }
    let draws = (groups as usize * GROUP * blocks * BLOCK) as f64;
    let expected = draws * (5..30).map(|k| pmf(0.217, k)).sum::<f64>();
    let deviation = (rare as f64 - expected) / expected.sqrt();
    assert!(
        deviation.abs() < 4.0,
        "{rare} rare counts, {expected} expected"
    );
}

#[test]
fn neurons_and_steps_are_independent() {
    let (mut neighbours, mut successive, mut pairs) = (0.0, 0.0, 0.0);
    for group in 0..32 {
        for block in drawn(0.5, 5, group, 1) {
            let centred = |step: usize, neuron: usize| f64::from(block[step][neuron]) - 0.5;
            for neuron in 0..GROUP - 1 {
                for step in 0..BLOCK - 1 {
                    let here = centred(step, neuron);
                    neighbours += here * centred(step, neuron + 1);
                    successive += here * centred(step + 1, neuron);
                    pairs += 1.0;
                }
            }
        }
    }
    for sum in [neighbours, successive] {
        let z: f64 = sum / (0.5 * f64::sqrt(pairs));
        assert!(z.abs() < 4.0, "correlation of {z} standard errors");
    }
}

fn arriving(input: &mut Input, group: usize, arrival: i32) -> [f64; GROUP] {
    let (lower, upper) = input.arriving(group, Steps(arrival));
    let upper = upper.unwrap_or(&[0; GROUP]);
    std::array::from_fn(|j| f64::from(lower[j]) + 256.0 * f64::from(upper[j]))
}

#[test]
fn given_spikes_arrive_a_delay_later_and_add_up() {
    for many in [2, 700] {
        let mut spikes = vec![(Steps(200), 70); many];
        spikes.extend([(Steps(1), 3), (Steps(128), 70)]);
        let mut input = Input::given(spikes, Steps(12), 100);
        assert_eq!(arriving(&mut input, 0, 13)[3], 1.0);
        assert_eq!(arriving(&mut input, 1, 140)[6], 1.0);
        assert_eq!(arriving(&mut input, 1, 212)[6], many as f64);
        assert_eq!(arriving(&mut input, 1, 213)[6], 0.0);
        assert_eq!(arriving(&mut input, 0, 5000), [0.0; GROUP]);
        assert_eq!(arriving(&mut input, 1, 12), [0.0; GROUP]);
    }
}

/// Checks that Poisson input starts as in NEST's `poisson_generator`; spikes of a file may have
/// stamp 1.
#[test]
fn the_first_draws_have_stamp_2() {
    for delay in [1, 12, 300] {
        let mut input = Input::poisson(400.0, Steps(delay), 4, vec![Gid(7)]);
        for arrival in [delay - 1, delay, delay + 1] {
            assert_eq!(arriving(&mut input, 0, arrival), [0.0; GROUP]);
        }
        let law = PoissonLaw::new(400.0);
        for step in [1, 2, BLOCK] {
            let expected = f64::from(by_definition(&law, 4, Gid(7), step));
            let arrival = delay + 1 + step as i32;
            assert_eq!(arriving(&mut input, 0, arrival)[0], expected, "step {step}");
        }
    }
}

/// Kernel that generates the words of 64 streams, on a given instruction set.
struct Words<'a>(u64, &'a [Gid; GROUP], u64);

impl Kernel for Words<'_> {
    type Output = Abreast<GROUP>;

    #[inline(always)]
    fn run(self) -> Self::Output {
        let mut words = Abreast([[0; GROUP]; WORDS]);
        words.generate(self.0, Purpose::Poisson, self.1, self.2);
        words
    }
}

#[test]
fn streams_abreast_are_those_of_each_neuron() {
    let gids: [Gid; GROUP] = std::array::from_fn(|j| Gid(u32::MAX - 0x0101_0101 * j as u32));
    let set_here = |set: &InstructionSet| set.is_here();
    for seed in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
        for block in [0, 1, 2, 777, u64::from(u32::MAX), 1 << 32, (1 << 40) + 3] {
            let mut expected = [[0; GROUP]; WORDS];
            for (j, &gid) in gids.iter().enumerate() {
                let mut rng = stream(seed, Purpose::Poisson, gid);
                rng.set_word_pos(u128::from(block) * WORDS as u128);
                expected
                    .iter_mut()
                    .for_each(|word| word[j] = rng.next_u32());
            }
            for set in InstructionSet::ALL.into_iter().filter(set_here) {
                let words = simd::run_on(set, Words(seed, &gids, block));
                assert_eq!(words.0, expected, "{}, block {block}", set.name());
            }
        }
    }
}

/// Computes a count by definition: 16 of its 64 bits from one stream, the other 48 from another.
fn by_definition(law: &PoissonLaw, seed: u64, gid: Gid, step: usize) -> u16 {
    let mut words = stream(seed, Purpose::Poisson, gid);
    words.set_word_pos(step as u128 / 2);
    let upper = (words.next_u32() >> (step % 2 * 16)) as u16 ^ 0x8000;
    let mut tail = stream(seed, Purpose::PoissonTail, gid);
    tail.set_word_pos(2 * step as u128);
    law.invert(u64::from(upper) << 48 | tail.next_u64() >> 16)
}

#[test]
fn counts_are_those_of_their_64_bits_on_every_instruction_set() {
    let gids: [Gid; GROUP] = std::array::from_fn(|j| Gid(3 * j as u32));
    let set_here = |set: &InstructionSet| set.is_here();
    for (mean, block) in [(0.3, 0), (9.0, 1), (400.0, 70_000), (29_000.0, 2)] {
        let law = &PoissonLaw::new(mean);
        for set in InstructionSet::ALL.into_iter().filter(set_here) {
            let (mut lower, mut upper) = (Tile([[0; GROUP]; BLOCK]), Tile([[0; GROUP]; BLOCK]));
            let draw = DrawCounts {
                law,
                seed: 4,
                gids: &gids,
                block,
                lower: &mut lower,
                upper: Some(&mut upper),
            };
            simd::run_on(set, draw);
            for (j, &gid) in gids.iter().enumerate() {
                for step in 0..BLOCK {
                    let bytes = [lower.0[step][j], upper.0[step][j]];
                    let expected = by_definition(law, 4, gid, block as usize * BLOCK + step);
                    assert_eq!(
                        u16::from_le_bytes(bytes),
                        expected,
                        "mean {mean}, step {step}"
                    );
                }
            }
        }
    }
}

#[test]
fn padding_receives_nothing() {
    let (law, gids) = (PoissonLaw::new(400.0), (0..100).map(Gid).collect());
    let mut input = Input::poisson(400.0, Steps(1), 4, gids);
    for step in [1, BLOCK, 3 * BLOCK - 1] {
        let counts = arriving(&mut input, 1, 2 + step as i32);
        for (j, &count) in counts.iter().enumerate() {
            let gid = GROUP + j;
            let expected = match gid < 100 {
                true => by_definition(&law, 4, Gid(gid as u32), step),
                false => 0,
            };
            assert_eq!(count, f64::from(expected), "gid {gid}, step {step}");
        }
    }
}

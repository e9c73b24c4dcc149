//! The power function of potentiation against numbers of 32 digits, and on every instruction
//! set of this machine.
//!
//! reference/power.json was written by reference/power.py with mpmath at 40 digits.

use serde_json::Value;

use stdp_hpc::base::math::Power;
use stdp_hpc::base::simd::{InstructionSet, Kernel, run_on};

/// x^mu is `high` + `low`.
struct Point {
    x: f64,
    mu: f64,
    high: f64,
    low: f64,
}

impl Point {
    /// Relative error of `value`, to about 1e-31.
    fn error(&self, value: f64) -> f64 {
        (((value - self.high) - self.low) / self.high).abs()
    }
}

fn points(class: &str) -> Vec<Point> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/power.json");
    let text = std::fs::read_to_string(path).expect("power.json");
    let table: Value = serde_json::from_str(&text).expect("JSON");
    let rows = table[class].as_array().expect("points").iter();
    rows.map(|row| {
        let [x, mu, high, low] =
            [0, 1, 2, 3].map(|i| f64::from_bits(row[i].as_u64().expect("bits")));
        Point { x, mu, high, low }
    })
    .collect()
}

/// The point at which `error` is largest, and how large.
fn worst(points: &[Point], error: impl Fn(&Point) -> f64) -> (f64, String) {
    let errors = points.iter().map(|p| (error(p), p));
    let (error, point) = errors.max_by(|a, b| a.0.total_cmp(&b.0)).expect("points");
    (
        error,
        format!("{:e}^{}: error {error:e}", point.x, point.mu),
    )
}

#[test]
fn weights_in_double_precision() {
    let points = points("weights");
    assert!(points.len() > 1500);
    assert!(points.iter().all(|p| (1e-12..=1e6).contains(&p.x)));
    let (error, place) = worst(&points, |p| p.error(Power::new(p.mu).of(p.x)));
    assert!(error <= 1e-14, "{place}");
}

/// As plastic weights in 4 bytes use it: from a rounded weight to a rounded weight.
#[test]
fn weights_in_single_precision() {
    let (error, place) = worst(&points("weights"), |p| {
        let stored = Power::new(p.mu).of(f64::from(p.x as f32)) as f32;
        p.error(f64::from(stored))
    });
    assert!(error <= 1e-6, "{place}");
}

/// Subnormals and the ends of the range: the exponent's digits are missing in the fraction
/// there, and a subnormal result has fewer digits to begin with.
#[test]
fn all_other_numbers() {
    let points = points("beyond");
    let (error, place) = worst(&points, |p| {
        let value = Power::new(p.mu).of(p.x);
        let one_place = (value - p.high).abs() <= 5e-324;
        if one_place { 0.0 } else { p.error(value) }
    });
    assert!(error <= 2e-13, "{place}");
}

#[test]
fn zero() {
    for mu in [0.0, 1e-300, 0.4, 1.0] {
        for zero in [0.0, -0.0] {
            let power = Power::new(mu).of(zero);
            assert_eq!(power.to_bits(), libm::pow(0.0, mu).to_bits(), "0^{mu}");
        }
        assert_eq!(Power::new(mu).of(1.0), 1.0);
    }
}

/// x^μ for all of an array.
struct Powers<'a> {
    power: Power,
    values: &'a mut [f64],
}

impl Kernel for Powers<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for value in self.values {
            *value = self.power.of(*value);
        }
    }
}

/// Whole vectors and what is left over, of every length, at every place in memory.
#[test]
fn the_same_bits_on_every_instruction_set() {
    let mut points = points("weights");
    points.extend(self::points("beyond"));
    let mut xs: Vec<f64> = points.iter().map(|p| p.x).collect();
    xs.push(0.0);
    for mu in [0.0, 1.0 / 3.0, 0.4, 1.0] {
        let power = Power::new(mu);
        let expected: Vec<u64> = xs.iter().map(|&x| power.of(x).to_bits()).collect();
        for set in InstructionSet::ALL.into_iter().filter(|set| set.is_here()) {
            let mut start = 0;
            for length in (1..=33).chain([xs.len()]).cycle() {
                let end = (start + length).min(xs.len());
                let mut values = xs[start..end].to_vec();
                let values = &mut values[..];
                run_on(set, Powers { power, values });
                let bits: Vec<u64> = values.iter().map(|value| value.to_bits()).collect();
                assert_eq!(
                    bits,
                    expected[start..end],
                    "{} numbers to the {mu} on {}",
                    end - start,
                    set.name()
                );
                if length == xs.len() {
                    break;
                }
                start = (start + length) % (xs.len() - 33);
            }
        }
    }
}

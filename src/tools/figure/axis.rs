//! Ticks of an axis and positions of values on it.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::{Axis, Scale};
use crate::base::units::grouped;

/// Tick of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Position on the axis, as returned by [`Axis::place`].
    pub(super) place: f64,
    /// Text of its label.
    pub(super) label: String,
}

impl Axis {
    /// Returns the position of `value`: the value or its decimal logarithm. Not finite if the value
    /// cannot be shown.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Log | Scale::Doubling => value.log10(),
            _ => value,
        }
    }

    /// Returns the positions of the ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.place(self.range.0), self.place(self.range.1))
    }

    /// Returns the position of `value`, clamped to the ends, or `None` if it cannot be shown, such
    /// as 0 on a logarithmic axis.
    pub(super) fn within(&self, value: f64) -> Option<f64> {
        let (low, high) = self.ends();
        let place = self.place(value);
        place.is_finite().then(|| place.clamp(low, high))
    }

    /// Returns whether `value` lies between the ends, inclusive.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.range.0..=self.range.1).contains(&value)
    }

    /// Returns the ticks: about `most` ≥ 2 of them; on an axis of names, one per name.
    pub(super) fn ticks(&self, most: usize) -> Vec<Tick> {
        match &self.scale {
            Scale::Linear => self.linear_ticks(most),
            Scale::Log => self.log_ticks(most),
            Scale::Doubling => self.doubling_ticks(most),
            Scale::Names(names) => {
                let tick = |(k, name): (usize, &String)| Tick {
                    place: k as f64,
                    label: name.clone(),
                };
                names.iter().enumerate().map(tick).collect()
            }
        }
    }

    /// Returns ticks at the multiples of a step that is 1, 2 or 5 times a power of ten.
    fn linear_ticks(&self, most: usize) -> Vec<Tick> {
        let (low, high) = self.range;
        let step = nice((high - low) / most as f64);
        let largest = low.abs().max(high.abs());
        // The slack keeps ticks at the ends despite rounding.
        let slack = step * 1e-6;
        let first = ((low - slack) / step).ceil() as i64;
        let last = ((high + slack) / step).floor() as i64;
        let tick = |k: i64| {
            let value = k as f64 * step;
            Tick {
                place: self.place(value),
                label: label(value, step, largest),
            }
        };
        (first..=last).map(tick).collect()
    }

    /// Returns ticks at powers of two; with more than `most` powers, at every k-th.
    fn doubling_ticks(&self, most: usize) -> Vec<Tick> {
        let (low, high) = self.range;
        let powers = (low.log2() - 1e-9).ceil() as i32..=(high.log2() + 1e-9).floor() as i32;
        let stride = powers.clone().count().div_ceil(most).max(1);
        let tick = |power: i32| {
            let value = 2f64.powi(power);
            Tick {
                place: value.log10(),
                label: label(value, value.min(1.0), value),
            }
        };
        powers.step_by(stride).map(tick).collect()
    }

    /// Returns ticks at powers of ten; with more than `most` decades, at every k-th power. An axis
    /// of less than two decades also has ticks at 2 and 5 times the powers.
    fn log_ticks(&self, most: usize) -> Vec<Tick> {
        let (low, high) = self.ends();
        let slack = 1e-9;
        let decades = (high - low).floor() as usize + 1;
        let stride = decades.div_ceil(most) as i32;
        let multiples: &[f64] = if high - low >= 2.0 {
            &[1.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let powers =
            (low.floor() as i32..=high.ceil() as i32).filter(|k| k.rem_euclid(stride) == 0);
        let ticks: Vec<Tick> = powers
            .flat_map(|power| multiples.iter().map(move |m| m * 10f64.powi(power)))
            .filter(|value| (low - slack..=high + slack).contains(&value.log10()))
            .map(|value| Tick {
                place: value.log10(),
                label: label(value, value, value),
            })
            .collect();
        // A short axis, such as 2.2 to 3, may contain fewer than two of these values.
        match ticks.len() {
            0 | 1 => self.linear_ticks(most),
            _ => ticks,
        }
    }
}

/// Axis in the form of the plotting library: maps positions to pixels and supplies the ticks.
pub(super) struct Places {
    ends: (f64, f64),
    ticks: Vec<Tick>,
}

impl Places {
    pub(super) fn new(axis: &Axis, ticks: Vec<Tick>) -> Self {
        Places {
            ends: axis.ends(),
            ticks,
        }
    }
}

impl Ranged for Places {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, pixels: (i32, i32)) -> i32 {
        let (low, high) = self.ends;
        let part = (place - low) / (high - low);
        pixels.0 + (part * f64::from(pixels.1 - pixels.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|tick| tick.place).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.ends.0..self.ends.1
    }
}

impl ValueFormatter<f64> for Places {
    fn format_ext(&self, place: &f64) -> String {
        let found = self.ticks.iter().find(|tick| tick.place == *place);
        found.map_or_else(String::new, |tick| tick.label.clone())
    }
}

/// Returns the smallest number that is at least `x` > 0 and 1, 2 or 5 times a power of ten.
pub fn nice(x: f64) -> f64 {
    let power = 10_f64.powi(x.log10().floor() as i32);
    let fits = |digit: &f64| digit * power >= x * (1.0 - 1e-9);
    power * [1.0, 2.0, 5.0].into_iter().find(fits).unwrap_or(10.0)
}

/// Formats `value` with enough digits to distinguish it from neighbours at a distance of `step`.
/// The `largest` absolute value on the axis determines whether labels have exponents.
fn label(value: f64, step: f64, largest: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    // Three significant digits suffice only if the step is not too small.
    if !(1e-3..1e6).contains(&largest) && step > largest / 200.0 {
        return short_exponent(value);
    }
    let decimals = (-step.log10()).ceil().clamp(0.0, 9.0) as usize;
    grouped(format_args!("{value:.decimals$}"))
}

/// Formats `value` with up to three significant digits and an exponent, such as 1.5e6 or 2e-4.
fn short_exponent(value: f64) -> String {
    let text = format!("{value:.2e}");
    let (digits, exponent) = text.split_once('e').expect("so formatted");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits}e{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, most: usize) -> Vec<String> {
        axis.ticks(most)
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn linear_ticks_are_round_and_reach_the_ends() {
        let of = |low, high| labels(&Axis::linear("", low, high), 5);
        assert_eq!(of(0.0, 150.0), ["0", "50", "100", "150"]);
        assert_eq!(of(0.0, 0.3), ["0", "0.1", "0.2", "0.3"]);
        assert_eq!(
            of(19_000.0, 20_000.0),
            ["19,000", "19,200", "19,400", "19,600", "19,800", "20,000"]
        );
        assert_eq!(of(-1.0, 1.0), ["-1.0", "-0.5", "0", "0.5", "1.0"]);
        assert_eq!(of(0.0, 0.0008), ["0", "2e-4", "4e-4", "6e-4", "8e-4"]);
        assert_eq!(
            of(0.0, 0.001),
            ["0", "0.0002", "0.0004", "0.0006", "0.0008", "0.0010"]
        );
        assert_eq!(of(0.0, 3e7), ["0", "1e7", "2e7", "3e7"]);
    }

    #[test]
    fn logarithmic_ticks_stand_at_powers_of_ten() {
        let of = |low, high| labels(&Axis::log("", low, high), 6);
        assert_eq!(of(1e-4, 1.0), ["1e-4", "0.001", "0.01", "0.1", "1"]);
        assert_eq!(of(1.0, 20.0), ["1", "2", "5", "10", "20"]);
        assert_eq!(of(1.0, 1e12).len(), 5);
        // The axis contains no power of ten, nor 2 or 5 times a power of ten.
        assert_eq!(of(2.2, 3.0), ["2.2", "2.4", "2.6", "2.8", "3.0"]);
        let tick = &Axis::log("", 2.2, 3.0).ticks(6)[0];
        assert!((tick.place - 2.2f64.log10()).abs() < 1e-12);
    }

    #[test]
    fn cores_are_marked_at_powers_of_two() {
        let of = |low, high| labels(&Axis::doubling("", low, high), 6);
        assert_eq!(of(0.9, 8.9), ["1", "2", "4", "8"]);
        assert_eq!(
            of(1.0, 65_536.0),
            ["1", "8", "64", "512", "4,096", "32,768"]
        );
        assert_eq!(of(4.0, 4.0), ["4", "8"]);
    }

    #[test]
    fn values_beyond_an_end_stand_there() {
        let axis = Axis::log("", 0.1, 10.0);
        assert_eq!(axis.within(1e3), Some(1.0));
        assert_eq!(axis.within(0.0), None);
        assert_eq!(axis.within(f64::NAN), None);
    }
}

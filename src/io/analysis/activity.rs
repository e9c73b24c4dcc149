//! Rates and irregularity of spike trains.

use super::run::{Population, Results, Window};
use crate::base::error::{Error, Result};
use crate::base::units::{Ms, Steps};

/// Sums over the spikes of one neuron, from which its rate and the moments of its inter-spike
/// intervals follow exactly.
#[derive(Clone, Copy, Debug, Default)]
struct Train {
    spikes: u64,
    first: Steps,
    last: Steps,
    /// Sum of the squared inter-spike intervals (steps²).
    squares: u128,
}

impl Train {
    fn add(&mut self, time: Steps) {
        if self.spikes == 0 {
            self.first = time;
        } else {
            let interval = u128::from(self.last.0.abs_diff(time.0));
            self.squares += interval * interval;
        }
        self.last = time;
        self.spikes += 1;
    }

    fn cv(&self) -> Option<f64> {
        let intervals = u128::from(self.spikes.checked_sub(1)?);
        let sum = u128::from(self.first.0.abs_diff(self.last.0));
        if intervals < 2 || sum == 0 {
            return None;
        }
        // The arithmetic up to here is exact, which gives a regular train a CV of exactly 0.
        let variance = intervals * self.squares - sum * sum;
        Some((variance as f64).sqrt() / sum as f64)
    }
}

/// Activity of the recorded neurons of a population in a window of model time.
#[derive(Clone, Debug)]
pub struct Activity {
    length: Ms,
    trains: Vec<Train>,
}

impl Results {
    /// Counts the spikes of every recorded neuron of `population` in `window`.
    ///
    /// ```
    /// # use stdp_hpc::io::analysis::{Population, Results};
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, [excitatory, _]) = small::small_result()?;
    /// # let directory = directory.path();
    /// let results = Results::open(directory)?; // 160 excitatory neurons, 0.1 s
    /// let activity = results.activity(Population::E, results.window(None, None)?)?;
    /// assert_eq!(activity.spikes(), excitatory);
    /// let rate = activity.rate().expect("there are neurons");
    /// assert!((rate - excitatory as f64 / 160.0 / 0.1).abs() < 1e-9);
    /// let busy = (0..activity.neurons()).filter(|&neuron| activity.rate_of(neuron) > 20.0);
    /// for neuron in busy {
    ///     println!("{neuron}: CV {:?}", activity.cv_of(neuron)); // None below 3 spikes
    /// }
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// Cost: O(spikes in the window). Memory: 32 bytes per neuron, and one block of spikes.
    ///
    /// # Errors
    /// Fails if `spikes.h5` cannot be read, was not written by stdp-hpc, or holds invalid values.
    pub fn activity(&self, population: Population, window: Window) -> Result<Activity> {
        let mut trains = vec![Train::default(); self.recorded(population) as usize];
        for spike in self.spikes(population, window)? {
            let spike = spike?;
            let train = trains.get_mut(spike.neuron as usize).ok_or_else(|| {
                Error::input(format!(
                    "{}: neuron {} of {}: only the first {} were recorded (record.n_rec)",
                    self.file("spikes.h5").display(),
                    spike.neuron,
                    population.name(),
                    self.recorded(population)
                ))
            })?;
            train.add(spike.time);
        }
        Ok(Activity {
            length: window.length(self.dt()),
            trains,
        })
    }

    /// Returns the mean rate of the recorded neurons of `population` in bins of width `bin`, from
    /// the start of `window` on. The last bin may be shorter.
    ///
    /// ```
    /// # use stdp_hpc::{analysis::{Population, Results}, Ms};
    /// # mod small { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/common/small_result.rs")); }
    /// # let (directory, [excitatory, _]) = small::small_result()?;
    /// # let directory = directory.path();
    /// let results = Results::open(directory)?; // 100 ms
    /// let window = results.window(None, None)?;
    /// let rates = results.population_rate(Population::E, window, Ms(30.0))?;
    /// assert_eq!(rates.len(), 4); // the last is 10 ms long
    /// assert_eq!(rates.iter().map(|rate| rate.spikes).sum::<u64>(), excitatory);
    /// # Ok::<(), stdp_hpc::base::error::Error>(())
    /// ```
    ///
    /// Cost: O(spikes in the window + bins). Memory: the bins, and one block of spikes.
    ///
    /// # Errors
    /// Fails if `bin` is less than one step or not a whole number of steps, and in the same cases as
    /// [`activity`](Self::activity).
    pub fn population_rate(
        &self,
        population: Population,
        window: Window,
        bin: Ms,
    ) -> Result<Vec<Rate>> {
        let width = match bin.to_steps(self.dt()) {
            Some(Steps(width @ 1..)) => width,
            _ => {
                let (bin, dt) = (bin.0, self.dt().0);
                let must = format!("must be a whole number of steps of {dt} ms, at least 1");
                return Err(Error::input(format!("bin {bin}: {must}")));
            }
        };
        let starts = (window.after.0..window.until.0).step_by(width as usize);
        let mut bins: Vec<Rate> = starts
            .map(|after| Rate {
                window: Window {
                    after: Steps(after),
                    until: Steps(window.until.0.min(after.saturating_add(width))),
                },
                spikes: 0,
                rate: None,
            })
            .collect();
        for spike in self.spikes(population, window)? {
            bins[((spike?.time.0 - window.after.0 - 1) / width) as usize].spikes += 1;
        }
        let neurons = self.recorded(population);
        for bin in &mut bins {
            let length = bin.window.length(self.dt());
            bin.rate = mean_rate(bin.spikes, neurons as usize, length);
        }
        Ok(bins)
    }
}

/// Activity of the recorded neurons of a population in one bin of model time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Start and end of the bin.
    pub window: Window,
    /// Number of spikes of the recorded neurons in the bin.
    pub spikes: u64,
    /// Mean rate of the recorded neurons (spikes/s); `None` if there are none.
    pub rate: Option<f64>,
}

fn mean_rate(spikes: u64, neurons: usize, length: Ms) -> Option<f64> {
    (neurons > 0).then(|| spikes as f64 / neurons as f64 / length.0 * 1000.0)
}

impl Activity {
    /// Returns the number of recorded neurons of the population.
    pub fn neurons(&self) -> usize {
        self.trains.len()
    }

    /// Returns the number of spikes of all recorded neurons in the window.
    pub fn spikes(&self) -> u64 {
        self.trains.iter().map(|train| train.spikes).sum()
    }

    /// Returns the mean rate over neurons and time (spikes/s); `None` if there are no neurons.
    pub fn rate(&self) -> Option<f64> {
        mean_rate(self.spikes(), self.neurons(), self.length)
    }

    /// Returns the mean CV of the inter-spike intervals over the neurons that have a CV, and the
    /// number of these neurons; `None` if no neuron has one.
    pub fn mean_cv(&self) -> Option<(f64, usize)> {
        let all: Vec<f64> = self.trains.iter().filter_map(Train::cv).collect();
        (!all.is_empty()).then(|| (all.iter().sum::<f64>() / all.len() as f64, all.len()))
    }

    /// Returns the number of spikes of neuron `neuron`; neurons are 0 … [`neurons`](Self::neurons)
    /// − 1.
    ///
    /// # Panics
    /// Panics if `neuron` was not recorded.
    pub fn spikes_of(&self, neuron: usize) -> u64 {
        self.trains[neuron].spikes
    }

    /// Returns the rate of neuron `neuron` (spikes/s).
    ///
    /// # Panics
    /// Panics if `neuron` was not recorded.
    pub fn rate_of(&self, neuron: usize) -> f64 {
        self.spikes_of(neuron) as f64 / self.length.0 * 1000.0
    }

    /// Returns the coefficient of variation (CV) of the inter-spike intervals of neuron `neuron`:
    /// their standard deviation (with divisor n, not n − 1) divided by their mean. `None` with
    /// fewer than 3 spikes, or if all spikes have the same time.
    ///
    /// # Panics
    /// Panics if `neuron` was not recorded.
    pub fn cv_of(&self, neuron: usize) -> Option<f64> {
        self.trains[neuron].cv()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn train(times: &[i32]) -> Train {
        let mut train = Train::default();
        times.iter().for_each(|&time| train.add(Steps(time)));
        train
    }

    #[test]
    fn cv_needs_three_spikes_and_is_exact() {
        assert_eq!(train(&[]).cv(), None);
        assert_eq!(train(&[3, 10]).cv(), None);
        let far = i32::MAX - 1;
        assert_eq!(train(&[0, far / 2, far]).cv(), Some(0.0));
        // Intervals 1 and 3: mean 2, SD 1.
        assert_eq!(train(&[4, 5, 8]).cv(), Some(0.5));
    }
}

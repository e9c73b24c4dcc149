//! What the machine could do at best, and the table that sets the kernels beside it.

use std::cell::RefCell;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{Bencher, BenchmarkGroup, Criterion, SamplingMode};
use stdp_hpc::base::simd::{self, Kernel};

/// Samples of a kernel; the table shows their median.
const SAMPLES: usize = 20;

/// What a kernel moves per element (bytes), read and written.
#[derive(Clone, Copy)]
pub struct Traffic {
    /// Touched once and then not for long: comes from memory, or L3 if the network is small.
    pub streamed: f64,
    /// Touched again and again: stays in L1 or L2.
    pub near: f64,
}

/// One round of a kernel: the time that counts, and the elements done in it.
pub type Round = (Duration, u64);

struct Row {
    name: String,
    element: &'static str,
    traffic: Traffic,
    /// ns per element of every sample, warm-up first.
    samples: Vec<f64>,
}

/// Runs kernels under criterion and keeps what the table needs.
pub struct Report {
    rows: RefCell<Vec<Row>>,
    /// Of one thread (GB/s): to memory, and to L2.
    bandwidth: [f64; 2],
    /// Each kernel runs once, on a small network, to see that it does.
    pub quick: bool,
}

impl Report {
    /// As cargo asks: `cargo bench` says `--bench`, `cargo test --benches` does not. Begins
    /// with measuring the bandwidths.
    pub fn new() -> Self {
        let asked = |option: &str| std::env::args().any(|argument| argument == option);
        let quick = !asked("--bench") || asked("--test");
        let lengths = if quick {
            [1 << 10; 2]
        } else {
            [4 << 20, 12 << 10]
        };
        Report {
            rows: RefCell::default(),
            bandwidth: lengths.map(triad),
            quick,
        }
    }

    /// Measures `round` of what `set_up` makes; neither runs where the command line leaves
    /// this kernel out.
    pub fn measure<T>(
        &self,
        group: &mut BenchmarkGroup<WallTime>,
        [family, variant]: [&str; 2],
        element: &'static str,
        traffic: Traffic,
        set_up: impl Fn() -> T,
        mut round: impl FnMut(&mut T) -> Round,
    ) {
        let mut work = None;
        let name = format!("{family} {variant}");
        let mut samples = Vec::new();
        group.bench_function(&name, |bencher: &mut Bencher| {
            let work = work.get_or_insert_with(&set_up);
            bencher.iter_custom(|rounds| {
                let (mut time, mut elements) = (Duration::ZERO, 0);
                for _ in 0..rounds {
                    let (t, n) = round(work);
                    time += t;
                    elements += n;
                }
                samples.push(time.as_secs_f64() * 1e9 / elements as f64);
                time
            });
        });
        if !samples.is_empty() {
            self.rows.borrow_mut().push(Row {
                name,
                element,
                traffic,
                samples,
            });
        }
    }

    /// Prints the table.
    pub fn print(&self) {
        let rows = self.rows.borrow();
        if self.quick || rows.is_empty() {
            return;
        }
        let [memory, near] = self.bandwidth;
        println!(
            "{}, {}; triad of one thread: {memory:.1} GB/s memory, {near:.0} GB/s L2\n",
            processor(),
            simd::in_use().name()
        );
        println!("| kernel | ns | per | bytes streamed | of memory | bytes near | of L2 |");
        println!("|---|--:|---|--:|--:|--:|--:|");
        for row in rows.iter() {
            let Traffic {
                streamed,
                near: hot,
            } = row.traffic;
            let ns = median(&row.samples[row.samples.len().saturating_sub(SAMPLES)..]);
            let share = |bytes: f64, bandwidth: f64| bytes / ns / bandwidth * 100.0;
            println!(
                "| {} | {ns:.2} | {} | {streamed:.1} | {:.0} % | {hot:.1} | {:.0} % |",
                row.name,
                row.element,
                share(streamed, memory),
                share(hot, near),
            );
        }
    }
}

/// Criterion, set for all of them to be done within two minutes.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(SAMPLES)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .nresamples(10_000)
        .without_plots()
        .configure_from_args()
}

/// Rounds differ in what they hold, so every sample has the same number of them.
pub fn group(criterion: &mut Criterion) -> BenchmarkGroup<'_, WallTime> {
    let mut group = criterion.benchmark_group("kernels");
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// How long `work` takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    (sorted[half] + sorted[(sorted.len() - 1) / 2]) / 2.0
}

/// a = b + s·c, as McCalpin's STREAM has it.
struct Triad<'a> {
    a: &'a mut [f64],
    b: &'a [f64],
    c: &'a [f64],
    s: f64,
}

impl Kernel for Triad<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((a, b), c) in self.a.iter_mut().zip(self.b).zip(self.c) {
            *a = b + self.s * c;
        }
    }
}

/// GB/s of a triad on three arrays of `length`, 24 bytes an element: what it reads and writes,
/// without the line that a write may first fetch. The best of some tries.
fn triad(length: usize) -> f64 {
    let [mut a, b, c] = [0.0, 1.0, 2.0].map(|value| vec![value; length]);
    let repeats = (1 << 20) / length + 1;
    let tries = (0..8).map(|_| {
        let time = timed(|| {
            for _ in 0..repeats {
                let (a, s) = (&mut a[..], black_box(3.0));
                simd::run(Triad { a, b: &b, c: &c, s });
                black_box(&mut *a);
            }
        });
        (24 * length * repeats) as f64 / time.as_secs_f64() / 1e9
    });
    tries.fold(0.0, f64::max)
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':'));
    name.map_or("unknown processor", |(_, name)| name.trim())
        .to_owned()
}

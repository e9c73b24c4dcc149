//! Single neurons and synapses against NEST (reference/), and the batched delivery of rows
//! against the law written down plainly.

use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use stdp_hpc::base::rng::{below, unit};
use stdp_hpc::base::simd::{self, Kernel};
use stdp_hpc::base::units::{Interval, Lid, Ms, Steps};
use stdp_hpc::io::config;
use stdp_hpc::model::buffers::{RingBuffer, SpikeHistory};
use stdp_hpc::model::neuron::{Emission, IafPscAlpha, IgnoreAndFire, Tics, channels};
use stdp_hpc::model::params::{NeuronParams, StdpParams};
use stdp_hpc::model::stimulus::Input;
use stdp_hpc::model::synapse::{Batch, Law, OwnHistory, Sources, Target, Visit, Weight};

/// The cases of a file in reference/.
fn cases(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
    let text = fs::read_to_string(path.join(name)).expect("reference");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    json["cases"].as_array().expect("cases").clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().expect("a list");
    list.iter().map(number).collect()
}

fn steps(value: &Value) -> Vec<i32> {
    let list = value.as_array().expect("a list");
    let step = |value: &Value| value.as_i64().expect("a step") as i32;
    list.iter().map(step).collect()
}

fn step(value: &Value) -> i32 {
    value.as_i64().expect("a step") as i32
}

fn dt_of(case: &Value) -> Ms {
    Ms(number(&case["resolution_ms"]))
}

/// Intervals of `length` steps, the last one shorter, up to `end`.
fn intervals(end: i32, length: i32) -> impl Iterator<Item = Interval> {
    (0..end)
        .step_by(length as usize)
        .map(move |start| Interval {
            start: Steps(start),
            steps: length.min(end - start),
        })
}

/// Parameters read from a config, so that units and rounding are the program's.
fn neuron_params(case: &Value) -> NeuronParams {
    let params = case["params"].as_object().expect("parameters");
    let keys = params.iter().filter(|(key, _)| *key != "V_m");
    let lines: String = keys
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    let dt = number(&case["resolution_ms"]);
    // The weight is given, so no unit PSP is needed, whatever the time constants.
    let toml = format!(
        "[network]\nN = 1\nK = 0\n[neuron]\nmodel = \"iaf_psc_alpha\"\n{lines}\
         [synapse]\nweight = 1.0\ndelay = {dt}\n[stimulus]\nrate = 0.0\n\
         [simulation]\nT = {dt}\ndt = {dt}\n"
    );
    let params = config::load(Path::new("case.toml"), &toml, &[], None, 1);
    params.expect("good parameters").neuron
}

/// Neurons that all receive the same as the case's, in two groups, the last one not full.
const NEURONS: usize = 70;

/// How the input of a case reaches the neurons.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// Excitation as external input, inhibition through the ring buffer.
    External,
    /// Both through the ring buffer.
    Ring,
}

/// Stamps of each neuron's spikes and, where the interval is a single step, each neuron's
/// potential at every step.
fn run_iaf<const CHANNELS: usize>(
    case: &Value,
    length: i32,
    way: Way,
) -> (Vec<Vec<i32>>, Vec<Vec<f64>>) {
    let potentials = [number(&case["params"]["V_m"]); NEURONS];
    let mut neurons = IafPscAlpha::<CHANNELS>::new(&neuron_params(case), dt_of(case), &potentials);
    let delay = step(&case["delay_steps"]);
    let (weight_ex, weight_in) = (number(&case["weight_ex_pA"]), number(&case["weight_in_pA"]));
    let (exc, inh) = (steps(&case["exc_steps"]), steps(&case["inh_steps"]));
    let train = match way {
        Way::External => &exc[..],
        Way::Ring => &[],
    };
    let train = train
        .iter()
        .flat_map(|&s| (0..NEURONS as u32).map(move |lid| (Steps(s), lid)));
    let mut input = Input::given(train.collect(), Steps(delay), NEURONS);
    let mut ring = RingBuffer::new(NEURONS, CHANNELS, delay as usize);
    let (mut fired, mut traces) = (vec![Vec::new(); NEURONS], vec![Vec::new(); NEURONS]);
    let mut emissions = Vec::new();
    for interval in intervals(step(&case["steps"]), length) {
        // What was emitted in the interval before, as the engine delivers it.
        let start = interval.start.0;
        let emitted = |stamps: &[i32]| -> Vec<i32> {
            let now = stamps.iter().copied();
            now.filter(|&s| start - length < s && s <= start).collect()
        };
        let mut deliver = |stamps: &[i32], weight: f64| {
            for stamp in emitted(stamps) {
                let mut slot = ring.slot(Steps(stamp + delay), 0);
                let sums = &mut slot.channel(weight)[..NEURONS];
                sums.iter_mut().for_each(|sum| *sum += weight);
            }
        };
        deliver(&inh, weight_in);
        if way == Way::Ring {
            deliver(&exc, weight_ex);
        }
        emissions.clear();
        neurons.update(interval, &mut ring, &mut input, weight_ex, &mut emissions);
        for &Emission { lag, lid } in &emissions {
            fired[lid.0 as usize].push(start + 1 + lag as i32);
        }
        if length == 1 {
            for (trace, lid) in traces.iter_mut().zip(0..) {
                trace.push(neurons.potential(Lid(lid)));
            }
        }
    }
    (fired, traces)
}

/// Every case with a channel for each sign, and with one for both where that is enough.
#[test]
fn iaf_psc_alpha_is_nests() {
    let cases = cases("iaf_psc_alpha.json");
    assert_eq!(cases.len(), 9);
    let mut one_channel = 0;
    for case in &cases {
        for way in [Way::External, Way::Ring] {
            iaf_case_is_nests::<2>(case, way);
            if channels(&neuron_params(case)) == 1 {
                iaf_case_is_nests::<1>(case, way);
                one_channel += 1;
            }
        }
    }
    assert_eq!(one_channel, 2 * 7);
}

fn iaf_case_is_nests<const CHANNELS: usize>(case: &Value, way: Way) {
    let name = case["name"].as_str().expect("a name");
    let what = format!("{name}, {way:?}, {CHANNELS} channels");
    let potentials = numbers(&case["V_m_mV"]);
    let spikes = steps(&case["spike_steps"]);
    let delay = step(&case["delay_steps"]);
    // Near τ_syn = τ_m NEST's propagator loses digits: its trace is 1.07e-9 mV off the exact
    // solution, see `near_equal_time_constants_are_exact`.
    let near = name == "tau_syn close to tau_m";
    let tolerance = if near { 1.1e-9 } else { 1e-9 };
    let (fired, traces) = run_iaf::<CHANNELS>(case, 1, way);
    for (fired, trace) in fired.iter().zip(&traces) {
        assert_eq!(fired, &spikes, "{what}");
        for (&at, &expected) in steps(&case["record_steps"]).iter().zip(&potentials) {
            let got = trace[at as usize - 1];
            assert!(
                (got - expected).abs() <= tolerance,
                "{what}, step {at}: {got} mV for {expected} mV"
            );
        }
    }
    for length in [delay, delay / 2 + 1] {
        let (fired, _) = run_iaf::<CHANNELS>(case, length, way);
        assert!(
            fired.iter().all(|f| *f == spikes),
            "{what}, intervals of {length}"
        );
    }
}

/// Where NEST's trace is worst, ours is the solution in 40 digits (matrix exponential, mpmath).
#[test]
fn near_equal_time_constants_are_exact() {
    let cases = cases("iaf_psc_alpha.json");
    let named = |case: &&Value| case["name"] == "tau_syn close to tau_m";
    let (_, traces) = run_iaf::<2>(cases.iter().find(named).expect("it"), 1, Way::Ring);
    let error = traces[0][217 - 1] - 7.091_422_669_598_517;
    assert!(error.abs() < 1e-13, "{error}");
}

#[test]
fn ignore_and_fire_is_nests() {
    let cases = cases("ignore_and_fire.json");
    assert!(cases.len() >= 40);
    for dt in [0.125, 0.1] {
        let here: Vec<&Value> = cases.iter().filter(|case| dt_of(case).0 == dt).collect();
        let column = |key| -> Vec<f64> { here.iter().map(|case| number(&case[key])).collect() };
        let end = here.iter().map(|case| step(&case["steps"])).max();
        for length in [1, 7, 12] {
            let mut neurons =
                IgnoreAndFire::new(Tics::new(Ms(dt), 128), &column("rate"), &column("phase"));
            let mut input = Input::given(Vec::new(), Steps(1), here.len());
            let mut ring = RingBuffer::new(here.len(), 1, 12);
            let mut fired = vec![Vec::new(); here.len()];
            let mut emissions = Vec::new();
            for interval in intervals(end.expect("cases"), length) {
                emissions.clear();
                neurons.update(interval, &mut ring, &mut input, 1.0, &mut emissions);
                for &Emission { lag, lid } in &emissions {
                    fired[lid.0 as usize].push(interval.start.0 + 1 + lag as i32);
                }
            }
            for (case, mut fired) in here.iter().zip(fired) {
                fired.retain(|&stamp| stamp <= step(&case["steps"]));
                assert_eq!(
                    fired,
                    steps(&case["spike_steps"]),
                    "{case}, intervals of {length}"
                );
            }
        }
    }
}

/// Nothing may be skipped because the neuron ignores it: what arrives is received, once.
#[test]
fn ignore_and_fire_receives_its_input() {
    for channels in [1, 2] {
        let mut neurons = IgnoreAndFire::new(Tics::new(Ms(0.1), 128), &[10.0; 3], &[0.5; 3]);
        let train = vec![(Steps(4), 1), (Steps(4), 1), (Steps(5), 2)];
        let mut input = Input::given(train, Steps(2), 3);
        let mut ring = RingBuffer::new(3, channels, 10);
        ring.slot(Steps(6), 0).channel(5.0)[0] += 5.0;
        ring.slot(Steps(6), 1).channel(-1.5)[0] -= 1.5;
        for stamp in 1..=20 {
            let interval = Interval {
                start: Steps(stamp - 1),
                steps: 1,
            };
            neurons.update(interval, &mut ring, &mut input, 2.0, &mut Vec::new());
            let expected = match stamp {
                6 => [5.0, 2.5, 0.0],
                7 => [0.0, 0.0, 2.0],
                _ => [0.0; 3],
            };
            let received = [0, 1, 2].map(|lid| neurons.received(Lid(lid)));
            assert_eq!(received, expected, "step {stamp}, {channels} channels");
        }
    }
}

/// A case of STDP: one source, its synapses, and when all of them fire.
struct Trains {
    dt: Ms,
    stdp: StdpParams,
    delay: i32,
    end: i32,
    pre: Vec<i32>,
    /// By neuron.
    post: Vec<Vec<i32>>,
    /// By synapse, ascending.
    targets: Vec<usize>,
    /// By synapse (pA).
    initial: Vec<f64>,
}

/// Weight of every synapse (pA) as delivered with each presynaptic spike.
type Delivered = Vec<Vec<f64>>;

struct Row<'a, T, W> {
    law: &'a Law,
    visit: Visit,
    history: &'a SpikeHistory,
    targets: &'a [T],
    weights: &'a mut [W],
    slot: &'a mut [f64],
}

impl<T: Target, W: Weight> Kernel for Row<'_, T, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Row {
            law,
            visit,
            history,
            targets,
            weights,
            slot,
        } = self;
        let history = OwnHistory::new(history);
        let add = |target: usize, weight| slot[target] += weight;
        law.deliver(&mut Batch::new(), visit, history, targets, weights, add);
    }
}

/// How the spikes are put through.
#[derive(Clone, Copy, Debug)]
struct Mode {
    /// Steps between exchanges, at most the delay.
    interval: i32,
    /// Whether the history is pruned after every interval.
    prune: bool,
    /// Whether with the vectors of this machine.
    vectors: bool,
}

impl Trains {
    /// As the engine does it: in every interval first the presynaptic spikes of the one
    /// before, then the postsynaptic spikes of this one, then maybe pruning.
    fn simulate<T: Target, W: Weight>(&self, mode: Mode) -> Delivered {
        assert!(mode.interval <= self.delay);
        let longest = Steps(self.end);
        let law = Law::new(&self.stdp, self.dt, longest);
        let mut history = SpikeHistory::new(self.post.len(), self.dt, self.stdp.tau_minus, longest);
        let mut sources = Sources::new(vec![0], Vec::new());
        let targets: Vec<T> = self.targets.iter().map(|&target| T::new(target)).collect();
        let mut weights: Vec<W> = self.initial.iter().map(|&w| W::stored(w)).collect();
        let (mut next_pre, mut next_post) = (0, vec![0; self.post.len()]);
        let mut delivered = Vec::new();
        for interval in intervals(self.end + mode.interval, mode.interval) {
            let start = interval.start.0;
            while let Some(&stamp) = self.pre.get(next_pre).filter(|&&stamp| stamp <= start) {
                next_pre += 1;
                let arrival = sources.arrive(0, Steps(stamp), law.decay_plus());
                let visit = Visit {
                    after: arrival.last - self.delay,
                    until: stamp - self.delay,
                    trace: arrival.trace,
                };
                let mut slot = vec![0.0; self.post.len()];
                let row = Row {
                    law: &law,
                    visit,
                    history: &history,
                    targets: &targets,
                    weights: &mut weights,
                    slot: &mut slot,
                };
                if mode.vectors {
                    simd::run(row);
                } else {
                    row.run();
                }
                let now: Vec<f64> = weights.iter().map(|w| w.value()).collect();
                self.assert_delivered(&slot, &now);
                delivered.push(now);
            }
            history.refer_to(interval.start);
            for ((stamps, next), lid) in self.post.iter().zip(&mut next_post).zip(0..) {
                while let Some(&stamp) = stamps.get(*next).filter(|&&s| s <= start + interval.steps)
                {
                    history.push(Lid(lid), Steps(stamp));
                    *next += 1;
                }
            }
            if mode.prune {
                let horizon = law.decay_plus().horizon();
                let windows = Sources::open_windows(&[&sources], Steps(self.delay), horizon);
                windows.prune(&mut history, Steps(start + 1 - self.delay));
            }
        }
        delivered
    }

    /// The slot holds the new weights, summed over the synapses of a target in their order.
    fn assert_delivered(&self, slot: &[f64], weights: &[f64]) {
        let mut expected = vec![0.0; slot.len()];
        for (&target, weight) in self.targets.iter().zip(weights) {
            expected[target] += weight;
        }
        assert_eq!(slot, expected);
    }

    /// The law as design.md has it, synapse by synapse, every trace from its definition.
    fn plainly(&self, stored: impl Fn(f64) -> f64) -> Delivered {
        let StdpParams {
            alpha,
            lambda,
            mu_plus,
            tau_plus,
            tau_minus,
            ..
        } = self.stdp;
        let decay = |steps: i32, tau: f64| (-f64::from(steps) * self.dt.0 / tau).exp();
        let mut weights: Vec<f64> = self.initial.iter().map(|&w| stored(w)).collect();
        let (mut k_plus, mut last) = (0.0, 0);
        let mut delivered = Vec::new();
        for &t in &self.pre {
            for (weight, &target) in weights.iter_mut().zip(&self.targets) {
                let posts = &self.post[target];
                let mut w = *weight;
                for &post in posts {
                    if last - self.delay < post && post <= t - self.delay && k_plus > 0.0 {
                        let k = k_plus * decay(post + self.delay - last, tau_plus);
                        w += lambda * w.powf(mu_plus) * k;
                    }
                }
                let before = posts.iter().take_while(|&&post| post < t - self.delay);
                let k_minus: f64 = before
                    .map(|post| decay(t - self.delay - post, tau_minus))
                    .sum();
                *weight = stored((w - lambda * alpha * w * k_minus).max(0.0));
            }
            delivered.push(weights.clone());
            k_plus = k_plus * decay(t - last, tau_plus) + 1.0;
            last = t;
        }
        delivered
    }
}

#[track_caller]
fn assert_close(got: &Delivered, expected: &Delivered, relative: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (spike, (got, expected)) in got.iter().zip(expected).enumerate() {
        for (synapse, (got, expected)) in got.iter().zip(expected).enumerate() {
            assert!(
                (got - expected).abs() <= relative * expected.abs(),
                "{what}: synapse {synapse}, spike {spike}: {got} pA for {expected} pA"
            );
        }
    }
}

/// `[stdp]` of a config with these entries.
fn stdp_params(lines: &str) -> StdpParams {
    let toml = format!("[network]\nN = 10\nK = 1\n[stdp]\n{lines}[simulation]\nT = 1.0\n");
    let params = config::load(Path::new("case.toml"), &toml, &[], None, 1);
    params.expect("good parameters").stdp
}

#[test]
fn stdp_pl_synapse_hom_is_nests() {
    let cases = cases("stdp_pl_synapse_hom.json");
    assert_eq!(cases.len(), 10);
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        let of = |key: &str| number(&case["params"][key]);
        let stdp = stdp_params(&format!(
            "lambda = {}\nalpha = {}\nmu_plus = {}\ntau_plus = {}\ntau_minus = {}\n",
            of("lambda"),
            of("alpha"),
            of("mu"),
            of("tau_plus"),
            number(&case["tau_minus_ms"])
        ));
        let delay = step(&case["delay_steps"]);
        // The same synapse 70 times: in every lane of the vectors and past a batch.
        let trains = Trains {
            dt: dt_of(case),
            stdp,
            delay,
            end: step(&case["steps"]),
            pre: steps(&case["pre_steps"]),
            post: vec![steps(&case["post_steps"])],
            targets: vec![0; 70],
            initial: vec![number(&case["w0_pA"]); 70],
        };
        assert_eq!(case["weight_stamp_steps"], case["pre_steps"]);
        let after = numbers(&case["weight_after_pre_pA"]);
        let expected: Delivered = after.iter().map(|&w| vec![w; 70]).collect();
        assert_close(
            &trains.plainly(|w| w),
            &expected,
            1e-9,
            "the test's own law",
        );
        for interval in [delay, 1, delay / 2 + 1] {
            for prune in [false, true] {
                let mode = Mode {
                    interval,
                    prune,
                    vectors: true,
                };
                let got = trains.simulate::<u16, f64>(mode);
                assert_close(&got, &expected, 1e-9, &format!("{name}, {mode:?}"));
            }
        }
    }
}

/// Stamps of `count` spikes in 1 … `end`; some of them in bursts of up to nine steps on end.
fn train(rng: &mut ChaCha8Rng, count: usize, end: i32) -> Vec<i32> {
    let mut stamps = Vec::new();
    while stamps.len() < count {
        let first = 1 + below(rng, end as u32) as i32;
        let length = if below(rng, 8) == 0 {
            1 + below(rng, 9)
        } else {
            1
        };
        stamps.extend((first..first + length as i32).filter(|&stamp| stamp <= end));
    }
    stamps.sort_unstable();
    stamps.dedup();
    stamps
}

fn random_trains(rng: &mut ChaCha8Rng, mu: f64, delay: i32) -> Trains {
    let dt = [0.1, 0.125, 1.0][below(rng, 3) as usize];
    let tau = |rng: &mut ChaCha8Rng| 2.0 + 38.0 * unit(rng);
    let (tau_plus, tau_minus) = (tau(rng), tau(rng));
    // Mostly gentle, so that weights live on, but for mu = 1 not without bounds; sometimes
    // as strong as the default.
    let (lambda, alpha) = if mu == 1.0 {
        (0.002 * unit(rng), 2.0 * unit(rng))
    } else if below(rng, 3) == 0 {
        (20.0, 0.1)
    } else {
        (0.3 * unit(rng), 0.3 * unit(rng))
    };
    let stdp = stdp_params(&format!(
        "lambda = {lambda}\nalpha = {alpha}\nmu_plus = {mu:.1}\n\
         tau_plus = {tau_plus}\ntau_minus = {tau_minus}\n"
    ));
    let end = 3000 + below(rng, 3000) as i32;
    let neurons = 1 + below(rng, 80) as usize;
    let synapses = 1 + below(rng, 300) as usize;
    let post = (0..neurons)
        .map(|_| {
            let count = [0, 1, 3, 20, 200, 800][below(rng, 6) as usize];
            train(rng, count, end)
        })
        .collect();
    let mut targets: Vec<usize> = (0..synapses)
        .map(|_| below(rng, neurons as u32) as usize)
        .collect();
    targets.sort_unstable();
    let initial = (0..synapses)
        .map(|_| {
            if below(rng, 5) == 0 {
                0.0
            } else {
                100.0 * unit(rng)
            }
        })
        .collect();
    let count = [1, 2, 10, 60][below(rng, 4) as usize];
    let mut pre = train(rng, count, end);
    // A first spike so early that its window begins before the first step.
    if below(rng, 2) == 0 && pre[0] > 2 {
        pre.insert(0, 2);
    }
    Trains {
        dt: Ms(dt),
        stdp,
        delay,
        end,
        pre,
        post,
        targets,
        initial,
    }
}

/// Rows of 1 … 300 synapses, autapse-like repeats of a target, bursts beyond the history's
/// record, delays that hold many postsynaptic spikes, first spikes, zero weights.
#[test]
fn rows_follow_the_law() {
    let mut rng = ChaCha8Rng::seed_from_u64(2007);
    let mut alive = 0;
    for round in 0..40 {
        for mu in [0.0, 0.4, 1.0] {
            let delay = [1, 2, 12, 15, 80, 400][round % 6];
            let trains = random_trains(&mut rng, mu, delay);
            let expected = trains.plainly(|w| w);
            let end = expected.last().expect("a spike").iter();
            alive += end.filter(|&&weight| weight > 0.0).count();
            let what = format!("round {round}, mu {mu}, delay {delay}");
            let mode = Mode {
                interval: delay,
                prune: false,
                vectors: true,
            };
            let got = trains.simulate::<u16, f64>(mode);
            assert_close(&got, &expected, 1e-9, &what);
            // Pruning, wide targets and plain code leave every bit; another interval moves the
            // reference time of the traces, and so their last digits.
            let plain = Mode {
                prune: true,
                vectors: false,
                ..mode
            };
            assert!(got == trains.simulate::<u32, f64>(plain), "{what}");
            for (part, vectors) in [(3, true), (2, false)] {
                let shorter = Mode {
                    interval: 1 + delay / part,
                    prune: vectors,
                    vectors,
                };
                let same = trains.simulate::<u32, f64>(shorter);
                assert_close(&same, &expected, 1e-9, &what);
            }
            let expected = trains.plainly(|w| f64::from(w as f32));
            let got = trains.simulate::<u16, f32>(mode);
            assert_close(&got, &expected, 1e-5, &what);
            assert!(got == trains.simulate::<u32, f32>(mode), "{what}, f32");
        }
    }
    assert!(alive > 5000, "weights to compare: {alive}");
}

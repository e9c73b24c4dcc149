//! The instruction set never shows: the same spikes and weights, bit for bit, on every one
//! that this machine has, and a clear word about those that it has not.

use stdp_hpc::base::simd::{FORCE, InstructionSet};

use crate::common::{
    self, Desk, Ended, LIMIT, assert_same_content, command_alone, program, read_run, start, text,
};

/// Sizes that no vector divides, one synaptic current or two, many spikes.
fn config(model: &str, tau_syn_in: f64, precision: &str) -> String {
    format!(
        r#"
[network]
N = 751
K = 151
[neuron]
model = "{model}"
tau_syn_in = {tau_syn_in}
[neuron.ignore_and_fire]
rate = [5.0, 60.0]
[stdp]
weight_precision = "{precision}"
[stimulus]
eta = 3.0
[simulation]
T = 301.0
presim = 20.5
seed = 12
[record]
weights = {{ at = [100.125] }}
"#
    )
}

/// The program with these arguments on the instruction set that [`FORCE`] is to name.
fn run_on(set: Option<&str>, arguments: &[&str]) -> Ended {
    let mut command = command_alone(program());
    command.args(arguments).env_remove(FORCE);
    if let Some(set) = set {
        command.env(FORCE, set);
    }
    start(command).wait(LIMIT)
}

fn here() -> Vec<&'static str> {
    let sets = InstructionSet::ALL.into_iter().filter(|set| set.is_here());
    sets.map(InstructionSet::name).collect()
}

fn no_instruction_set_shows(model: &str, tau_syn_in: f64, precision: &str) {
    let desk = Desk::new();
    let config = desk.config("net", &config(model, tau_syn_in, precision));
    let results: Vec<_> = here()
        .into_iter()
        .map(|set| {
            let out = desk.path().join(set);
            let arguments = [text(&config), "--out", text(&out), "--quiet"];
            run_on(Some(set), &arguments).expect(0);
            let run = read_run(&out);
            assert_eq!(run["provenance"]["instruction_set"], set);
            (run, common::content(&out))
        })
        .collect();
    let (first, content) = &results[0];
    let count = |name: &str| first["counts"][name].as_u64().expect("a count");
    assert!(count("spikes_E") > 1000 && count("spikes_I") > 100);
    assert!(
        first["weights"]["sd"].as_f64() > Some(0.01),
        "weights moved"
    );
    for (other, other_content) in &results[1..] {
        for key in ["digest", "counts", "rates", "weights"] {
            assert_eq!(first[key], other[key], "{key}");
        }
        assert_same_content(content, other_content);
    }
}

/// Time constants of the inhibitory current (ms): the excitatory one's, and another.
const ONE_CHANNEL: f64 = 2.0;
const TWO_CHANNELS: f64 = 0.5;

#[test]
fn integrate_and_fire() {
    no_instruction_set_shows("iaf_psc_alpha", ONE_CHANNEL, "f64");
    no_instruction_set_shows("iaf_psc_alpha", ONE_CHANNEL, "f32");
}

#[test]
fn integrate_and_fire_with_two_currents() {
    no_instruction_set_shows("iaf_psc_alpha", TWO_CHANNELS, "f64");
    no_instruction_set_shows("iaf_psc_alpha", TWO_CHANNELS, "f32");
}

#[test]
fn ignore_and_fire() {
    no_instruction_set_shows("ignore_and_fire", ONE_CHANNEL, "f64");
    no_instruction_set_shows("ignore_and_fire", ONE_CHANNEL, "f32");
}

#[test]
fn ignore_and_fire_with_two_channels() {
    no_instruction_set_shows("ignore_and_fire", TWO_CHANNELS, "f64");
    no_instruction_set_shows("ignore_and_fire", TWO_CHANNELS, "f32");
}

/// Without the variable it is the widest, and -v tells.
#[test]
fn the_widest_is_the_default() {
    let desk = Desk::new();
    let config = desk.config("net", &config("ignore_and_fire", TWO_CHANNELS, "f64"));
    let widest = InstructionSet::widest().name();
    let out = desk.path().join("out");
    let arguments = [text(&config), "--out", text(&out), "--verbose"];
    let ended = run_on(None, &arguments).expect(0);
    assert_eq!(read_run(&out)["provenance"]["instruction_set"], widest);
    let first = ended.stderr.lines().next().unwrap_or_default();
    assert!(first.ends_with(&format!(", {widest}")), "{}", ended.stderr);
}

/// Refused before anything else is looked at: the config does not exist.
#[test]
fn what_cannot_be_forced_is_bad_input() {
    let refuses = |set: &str, message: &str| {
        let ended = run_on(Some(set), &["missing.toml"]).expect(2);
        let expected = format!("stdp-hpc: {FORCE} = {set:?}: {message}\n");
        assert_eq!((ended.stderr, ended.stdout), (expected, String::new()));
    };
    for unknown in ["sse9", "AVX2", ""] {
        refuses(unknown, "must be one of portable, avx2, avx512");
    }
    let has = format!("this machine lacks it; it has {}", here().join(", "));
    for set in InstructionSet::ALL.into_iter().filter(|set| !set.is_here()) {
        refuses(set.name(), &has);
    }
}

/// A kernel that is a function of its own was compiled for the baseline, whatever calls it.
#[test]
#[cfg(all(target_arch = "x86_64", not(debug_assertions)))]
fn kernels_are_inlined_into_the_copies_for_each_instruction_set() {
    let listed = std::process::Command::new("nm")
        .args(["-C", text(program())])
        .output()
        .expect("nm, which comes with the linker");
    let symbols = String::from_utf8_lossy(&listed.stdout);
    for copy in ["run_avx2", "run_avx512"] {
        let copy = format!("stdp_hpc::base::simd::{copy}");
        assert!(symbols.contains(&copy), "{copy} is not among the symbols");
    }
    let apart: Vec<_> = symbols
        .lines()
        .filter(|line| line.contains("stdp_hpc::base::simd::Kernel>::run"))
        .collect();
    assert!(apart.is_empty(), "lack #[inline(always)]: {apart:#?}");
}

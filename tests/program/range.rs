//! Numbers that leave their range: refused beforehand, or the run ends as soon as they are met,
//! the same way for every split. What was written can be read again.

use std::fs;
use std::path::Path;

use hdf5::File;
use serde_json::Value;
use stdp_hpc::io::config;
use stdp_hpc::io::outcome::RunRecord;
use stdp_hpc::tools::plan::{Inputs, Plan, Rate};

use crate::bench::{Bench, network, put, write};
use crate::common::{Desk, Ended, run, text};

/// Potentiation alone, in proportion to the weight.
const GROWTH: &str = r#"
[network]
N = 100
K = 10
[neuron]
model = "iaf_psc_alpha"
[stdp]
alpha = 0.0
mu_plus = 1.0
lambda = 1.0
[simulation]
T = 3000.0
"#;

/// Fields of a run.json that its reader does not take as null.
fn assert_readable(directory: &Path) -> RunRecord {
    RunRecord::read(directory).expect("what was written can be read")
}

/// Runs `config`, which must fail with exit code 1, one line, and that line in run.json.
#[track_caller]
fn failure(desk: &Desk, config: &Path, ranks: usize, sets: &[&str]) -> String {
    let out = desk.path().join("out");
    let mut arguments = vec![text(config), "--quiet", "--force", "--out", text(&out)];
    for set in sets {
        arguments.extend(["--set", set]);
    }
    let ended: Ended = run(ranks, &arguments);
    let lines: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("stdp-hpc: "))
        .collect();
    let [line] = lines[..] else {
        panic!("{ended:#?}")
    };
    if ranks == 1 {
        assert_eq!(
            (ended.code, ended.stderr.lines().count()),
            (Some(1), 1),
            "{ended:#?}"
        );
    } else {
        assert_ne!(ended.code, Some(0), "{ended:#?}");
    }
    let message = line.trim_start_matches("stdp-hpc: ").to_owned();
    let written = fs::read_to_string(out.join("run.json")).expect("run.json");
    let written: Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(written["status"], "failed");
    assert_eq!(written["error"], message);
    assert_eq!(assert_readable(&out).error, Some(message.clone()));
    message
}

/// Samples, snapshots, and the end of the run meet weights that grew beyond every bound.
#[test]
fn infinite_weights_end_the_run_alike_on_all_splits() {
    let desk = Desk::new();
    let config = desk.config("growth", GROWTH);
    let cases: [(&str, &[&str]); 4] = [
        ("samples", &[]),
        (
            "snapshots",
            &[
                "record.weights_over_time=false",
                "record.weights={ at = [2900.0] }",
            ],
        ),
        ("the end", &["record.weights=false"]),
        ("f32", &["stdp.weight_precision=f32"]),
    ];
    for (name, sets) in cases {
        let alone = failure(&desk, &config, 1, sets);
        assert!(
            alone.starts_with("the weight of E->E synapse "),
            "{name}: {alone}"
        );
        assert!(
            alone.contains(" pA at ") && alone.contains("lower stdp.lambda (1.0)"),
            "{name}: {alone}"
        );
        assert_eq!(alone.contains("weight_precision"), name == "f32", "{alone}");
        assert_eq!(alone, failure(&desk, &config, 3, sets), "{name}");
    }
}

/// Static weights that together are more than a double holds make currents infinite, though no
/// plastic weight is: also a neuron that then never fires must not end as a result.
#[test]
fn neurons_that_are_not_finite_end_the_run() {
    let desk = Desk::new();
    let config = desk.config("growth", GROWTH);
    let sets = [
        "stdp.lambda=0.0",
        "synapse.weight=1e307",
        "synapse.g=9.0",
        "stimulus.rate=2e5",
        "simulation.T=100",
    ];
    let alone = failure(&desk, &config, 1, &sets);
    assert!(
        alone.contains(" of neuron ") && alone.contains("is not finite at 100 ms"),
        "{alone}"
    );
    assert_eq!(alone, failure(&desk, &config, 2, &sets));
    let ignoring = [&sets[..], &["neuron.model=ignore_and_fire"]].concat();
    let message = failure(&desk, &config, 1, &ignoring);
    assert!(
        message.starts_with("the input (inf) of neuron "),
        "{message}"
    );
}

/// Weights whose squares, and whose sum, are more than a double holds are weights all the same.
#[test]
fn huge_weights_have_moments_and_can_be_read_again() {
    let desk = Desk::new();
    let config = desk.config("growth", GROWTH);
    for weight in ["1e305", "1e200", "1e-200"] {
        let weight_set = format!("synapse.weight={weight}");
        let sets = [
            &weight_set[..],
            "neuron.model=ignore_and_fire",
            "stdp.lambda=0.0",
            "stimulus.rate=0.0",
            "simulation.T=100",
        ];
        for ranks in [1, 2] {
            let result = desk.result(&config, ranks, 1, &sets);
            let weights = assert_readable(result.path())
                .outcome
                .expect("done")
                .weights;
            let weight: f64 = weight.parse().expect("a number");
            let mean = weights.mean.expect("synapses");
            assert!((mean / weight - 1.0).abs() < 1e-12, "{mean:e}");
            assert!(weights.sd.expect("synapses") < 1e-12 * weight);
            run(1, &["export", text(result.path()), "rates"]).expect(0);
            let page = desk.path().join("page.html");
            let arguments = [
                "report",
                text(result.path()),
                "--output",
                text(&page),
                "--force",
            ];
            run(1, &arguments).expect(0);
        }
    }
}

#[test]
fn no_synapses_have_no_mean() {
    let desk = Desk::new();
    let config = desk.config(
        "unconnected",
        "[network]\nN = 10\nK = 0\n[simulation]\nT = 10.0\n",
    );
    let result = desk.result(&config, 1, 1, &[]);
    for key in ["mean", "sd", "zero_fraction"] {
        assert_eq!(result.run["weights"][key], Value::Null, "{key}");
    }
    let weights = assert_readable(result.path())
        .outcome
        .expect("done")
        .weights;
    assert_eq!(
        (weights.mean, weights.sd, weights.zero_fraction),
        (None, None, None)
    );
    let out = desk.path().join("again");
    let shown = run(1, &[text(&config), "--out", text(&out)])
        .expect(0)
        .stdout;
    let line = shown.lines().find(|line| line.starts_with("E->E weights"));
    assert_eq!(line, Some("E->E weights       -"));
    let page = desk.path().join("page.html");
    run(
        1,
        &[
            "report",
            text(&out),
            text(result.path()),
            "--output",
            text(&page),
        ],
    )
    .expect(0);
}

#[test]
fn single_precision_does_not_take_weights_of_a_file_that_it_cannot_hold() {
    let bench = Bench::new();
    for (weight, fits) in [
        (3e38, true),
        (1e39, false),
        (1e-45, true),
        (1e-46, false),
        (0.0, true),
    ] {
        let path = bench.path("network.h5");
        write(&path, |file| {
            network(file);
            let group = file.group("edges/E_to_E").expect("group");
            put(&group, "0/syn_weight", &[30.0, weight]);
        });
        let edges = format!("network.edges={}", path.display());
        let model = "neuron.model=ignore_and_fire";
        let sets = [
            "--force",
            "--quiet",
            "--set",
            &edges,
            "--set",
            model,
            "--set",
            "stimulus.rate=0",
        ];
        bench.run(1, &sets).expect(0);
        let f32 = [&sets[..], &["--set", "stdp.weight_precision=f32"]].concat();
        let ended = bench.run(1, &f32);
        if fits {
            ended.expect(0);
        } else {
            let message = format!(
                "stdp-hpc: {}: /edges/E_to_E/0/syn_weight of the synapse 1 -> 0 = {weight:e}: must \
                 be 0 or 1.4e-45 … 3.4e38 (pA) for stdp.weight_precision = \"f32\"\n",
                path.display()
            );
            assert_eq!((ended.code, ended.stderr), (Some(2), message));
        }
    }
}

/// Rows that a file only claims to have: 2⁶¹ of them take nothing there.
fn claim_rows(file: &File) {
    let group = file.create_group("spikes/X").expect("group");
    let rows = 1_usize << 61;
    let ids = group.new_dataset::<u64>().chunk(1024).shape(rows);
    ids.create("node_ids").expect("dataset");
    let times = group.new_dataset::<f64>().chunk(1024).shape(rows);
    times.create("timestamps").expect("dataset");
}

/// `faults/spikes_2e61_rows`: eight bytes each wrapped around to nothing.
#[test]
fn absurd_sizes_do_not_wrap_around() {
    let bench = Bench::new();
    let path = bench.path("spikes.h5");
    write(&path, claim_rows);
    let spikes = format!("stimulus.spikes={}", path.display());
    for more in [&[][..], &["--memory-per-rank", "1GiB"]] {
        let ended = bench.run(1, &[&["--set", &spikes][..], more].concat());
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    }
}

/// Every size of a plan, asked for with the largest numbers that a file or the command line can
/// bring: no wrapping, which would end the test.
#[test]
fn plans_of_absurd_inputs_are_too_large_and_not_small() {
    let most = u64::MAX;
    for (n, model, more) in [
        (u32::MAX, "iaf_psc_alpha", "tau_syn_in = 3.0"),
        (u32::MAX, "ignore_and_fire", ""),
        (5, "iaf_psc_alpha", ""),
        (1, "ignore_and_fire", ""),
    ] {
        let config = format!(
            "[network]\nN = {n}\nK = {}\n[neuron]\nmodel = \"{model}\"\n{more}\n[synapse]\n\
             delay = 4000.0\n[simulation]\nT = 268000000.0\nthreads = 1024\n[record]\n\
             weights_over_time = {{ every = 0.125, bins = 10000 }}\n",
            if n > 5 { u32::MAX } else { 1 }
        );
        let config = if n <= 5 {
            config.replace("K = 1", "K = 0")
        } else {
            config
        };
        let params = config::load(Path::new("here"), &config, &[], None, 1).expect("good");
        let drawn = Inputs::default();
        let read = Inputs {
            edges: Some([most; 4]),
            spikes: Some(most),
            delays: None,
        };
        for inputs in [drawn, read] {
            for ranks in [1, 2, (u32::MAX / 1024) as usize] {
                for rate in [Rate::of(&params), Rate::given([1e308; 2])] {
                    let plan = Plan::new(&params, ranks, &inputs, rate, 1 << 24);
                    if inputs.edges.is_some() {
                        let least = (1 << 60) / ranks as u64;
                        assert!(plan.peak() > least, "{n} {ranks}: {}", plan.peak());
                    }
                    let why = plan.why_not(&params, &inputs, 1 << 30, "a test");
                    assert!(
                        n < 10 && inputs.edges.is_none() || why.is_some(),
                        "{n} {ranks}"
                    );
                    assert!(!plan.table().is_empty());
                }
            }
        }
    }
}

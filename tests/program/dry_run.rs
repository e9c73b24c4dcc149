//! `stdp-hpc dry-run`: a rank rehearsed alone computes, bit for bit, what it computes among all.

use serde_json::Value;

use crate::common::{Desk, mpirun, run, text};

/// What `dry-run --json` says of rank `rank` of `ranks` ranks of `threads` threads.
#[track_caller]
fn rehearsed(config: &str, ranks: usize, rank: usize, threads: usize, sets: &[&str]) -> Value {
    let [ranks, rank, threads] = [ranks, rank, threads].map(|number| number.to_string());
    let mut arguments = vec!["dry-run", config, "--json", "--quiet"];
    arguments.extend(["--ranks", &ranks, "--rank", &rank, "--threads", &threads]);
    for set in sets {
        arguments.extend(["--set", set]);
    }
    let ended = run(1, &arguments).expect(0);
    assert_eq!(ended.stderr, "", "a quiet rehearsal says nothing");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// Every rank of a real run against its rehearsal: digests, counts, and memory by structure.
#[track_caller]
fn same_as_real(desk: &Desk, config: &str, splits: &[(usize, usize)], sets: &[&str]) {
    let path = desk.config("network", config);
    for &(ranks, threads) in splits {
        let real = desk.result(&path, ranks, threads, sets).run;
        let mut events = 0;
        for (rank, record) in real["ranks"].as_array().expect("ranks").iter().enumerate() {
            let dry = rehearsed(text(&path), ranks, rank, threads, sets);
            let which = format!("rank {rank} of {ranks} x {threads}");
            assert_eq!(dry["digest"], record["digest"], "{which}");
            events += dry["counts"]["synaptic_events"].as_u64().expect("events");
            let held = &dry["memory"]["by_structure"];
            let staying = number(&dry["memory"]["staying"]);
            for (name, spread) in real["memory"]["by_structure"]
                .as_object()
                .expect("structures")
            {
                let (dry, [min, max]) = (
                    number(&held[name]),
                    ["min", "max"].map(|of| number(&spread[of])),
                );
                let within = 0.95 * min <= dry && dry <= 1.05 * max;
                // What passes with recording is not rehearsed; crumbs do not count.
                assert!(
                    within || name == "recording" || dry.max(max) < 0.01 * staying,
                    "{which}: {name} {dry}, really {min} … {max}"
                );
            }
        }
        assert_eq!(
            real["counts"]["synaptic_events"].as_u64(),
            Some(events),
            "{ranks} ranks"
        );
    }
}

#[test]
fn ranks_do_alone_what_they_do_among_all() {
    let config = "[network]\nN = 1203\nK = 150\n[simulation]\nT = 300.0\n\
                  [neuron.ignore_and_fire]\nrate = [2.0, 30.0]\n";
    let splits = [(1, 1), (2, 1), (3, 1), (4, 1), (8, 1), (3, 2)];
    same_as_real(&Desk::new(), config, &splits, &[]);
}

#[test]
fn whatever_the_network() {
    let desk = Desk::new();
    let config = "[network]\nN_per_rank = 400\nK = 60\nallow_autapses = true\n\
                  allow_multapses = false\n[simulation]\nT = 250.5\npresim = 100.0\nseed = 99\n\
                  [synapse]\ndelay = { E_to_E = 2.0, E_to_I = 0.75, I_to_E = 1.0, I_to_I = 3.0 }\n\
                  [neuron.ignore_and_fire]\nrate = [0.01, 300.0]\n";
    same_as_real(
        &desk,
        config,
        &[(2, 2), (4, 1)],
        &["stdp.weight_precision=f32"],
    );
    // Rates and phases from a file; more ranks than one neuron each.
    let initial = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/reference/ignore_1250_input.h5"
    );
    let sets = [&*format!("neuron.initial={initial:?}"), "network.N=1250"];
    same_as_real(&desk, config, &[(3, 1)], &sets);
    same_as_real(&desk, config, &[(8, 1)], &["network.N=7", "network.K=5"]);
}

/// NEST's network: connections, input and initial state from files. Who listens is exact then.
#[test]
fn networks_from_files_are_rehearsed_too() {
    let file = |name| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference");
        format!("{folder}/ignore_1250_{name}.h5")
    };
    let (network, input) = (file("network"), file("input"));
    let config = format!(
        "[network]\nN = 1250\nedges = {network:?}\n[neuron]\ninitial = {input:?}\n\
         [stimulus]\nspikes = {input:?}\n[simulation]\nT = 300.0\n"
    );
    let desk = Desk::new();
    same_as_real(&desk, &config, &[(3, 1), (8, 1), (2, 2)], &[]);
    let path = desk.config("network", &config);
    let sets = ["simulation.T=15.0"];
    let real = desk.result(&path, 6, 1, &sets).run;
    let drys = (0..6).map(|rank| rehearsed(text(&path), 6, rank, 1, &sets));
    let bytes = drys.map(|dry| number(&dry["memory"]["by_structure"]["target_table"]));
    let mean = bytes.sum::<f64>() / 6.0;
    let really = number(&real["memory"]["by_structure"]["target_table"]["mean"]);
    assert_eq!(mean, really);
}

/// The target table is drawn: as many listeners as ranks really have, within chance.
#[test]
fn listeners_are_as_many_as_in_a_real_run() {
    let desk = Desk::new();
    let path = desk.config(
        "sparse",
        "[network]\nN = 4000\nK = 20\n[simulation]\nT = 1.5\n",
    );
    let ranks = 16;
    let real = desk.result(&path, ranks, 1, &[]).run;
    let entries = number(&real["memory"]["by_structure"]["target_table"]["mean"]);
    let drawn = (0..ranks).map(|rank| {
        let dry = rehearsed(text(&path), ranks, rank, 1, &[]);
        number(&dry["memory"]["by_structure"]["target_table"])
    });
    let mean = drawn.sum::<f64>() / ranks as f64;
    // 80,000 listeners in all, so chance makes 0.4 %.
    assert!(
        (mean / entries - 1.0).abs() < 0.015,
        "{mean} drawn, really {entries}"
    );
}

/// A machine that nobody here has: thousands of ranks, each with rows of one synapse or two.
#[test]
fn thousands_of_ranks_are_rehearsed_at_the_cost_of_one() {
    let desk = Desk::new();
    let config = "[network]\nN_per_rank = 250\nK = 250\n[simulation]\nT = 30.0\n";
    let path = desk.config("large", config);
    let [few, many] = [64, 16_384].map(|ranks| rehearsed(text(&path), ranks, ranks - 1, 1, &[]));
    for dry in [&few, &many] {
        assert_eq!(dry["counts"]["synapses_plastic"], 200 * 200);
        assert_eq!(dry["counts"]["neurons"], 250);
    }
    let memory = |dry: &Value, name: &str| number(&dry["memory"]["by_structure"][name]);
    for name in [
        "plastic_synapses",
        "static_synapses",
        "ring_buffers",
        "neurons",
    ] {
        assert_eq!(memory(&few, name), memory(&many, name), "{name}");
    }
    // Among so many sources nearly every synapse has one of its own.
    let synapses = 250.0 * 250.0;
    let rows = number(&many["counts"]["rows"]);
    assert!((0.95 * synapses..=synapses).contains(&rows), "{rows} rows");
    let network = &many["network"];
    let expected = number(&network["seconds_per_exchange"]) * number(&network["exchanges"]);
    assert_eq!(number(&network["seconds"]), expected);
    assert!(number(&network["seconds"]) > number(&few["network"]["seconds"]));
}

/// Where nearly every synapse has a row of its own, all that a rank holds stays within 32 bytes
/// a plastic synapse: rehearsed, and, but for what neurons take, on many small ranks.
#[test]
fn many_ranks_take_little_memory() {
    let desk = Desk::new();
    let config = "[network]\nN_per_rank = 2500\nK = 1250\n[simulation]\nT = 3.0\n";
    let path = desk.config("large", config);
    let dry = rehearsed(text(&path), 4096, 4095, 1, &[]);
    let each = number(&dry["memory"]["per_plastic_synapse"]);
    assert!(each < 32.0, "{each} bytes");
    let rows = number(&dry["counts"]["rows"]);
    assert!(rows > 0.8 * 2500.0 * 1250.0, "{rows} rows");

    let sets = [
        "network.N_per_rank=250",
        "network.K=25",
        "record.weights=false",
    ];
    let real = desk.result(&path, 32, 1, &sets).run;
    let structures = &real["memory"]["by_structure"];
    let all: f64 = [
        "plastic_synapses",
        "static_synapses",
        "row_index",
        "sources",
        "target_table",
        "exchange",
    ]
    .iter()
    .map(|name| number(&structures[name]["mean"]))
    .sum();
    let each = 32.0 * all / number(&real["counts"]["synapses_plastic"]);
    assert!(each < 32.0, "{each} bytes");
}

#[test]
fn what_cannot_be_rehearsed_is_refused_with_the_reason() {
    let desk = Desk::new();
    let path = desk.config(
        "network",
        "[network]\nN = 100\nK = 10\n[simulation]\nT = 3.0\n",
    );
    let path = text(&path);
    for (arguments, message) in [
        (
            vec!["--ranks", "4", "--set", "neuron.model=iaf_psc_alpha"],
            "dry-run: [neuron] model = \"iaf_psc_alpha\": must be \"ignore_and_fire\", whose \
             spikes do not depend on what other ranks send"
                .to_owned(),
        ),
        (
            vec!["--ranks", "4", "--rank", "4"],
            "--rank 4: must be an integer 0 … 3 (--ranks 4)".to_owned(),
        ),
        (
            vec!["--ranks", "0"],
            "--ranks 0: must be an integer 1 … 4294967295".to_owned(),
        ),
    ] {
        let ended = run(1, &[&["dry-run", path][..], &arguments].concat()).expect(2);
        assert_eq!(ended.stderr, format!("stdp-hpc: {message}\n"));
        assert_eq!(ended.stdout, "");
    }
    let ended = mpirun(2, &["dry-run", path, "--ranks", "4"]).expect(2);
    let message = "dry-run rehearses one rank in one process: must be started without mpirun, \
                   not on 2 ranks";
    assert!(ended.stderr.contains(message), "{ended:#?}");
}

/// Threads that take turns have CPU times all the same. The critical path is at least the time of a
/// thread on average, and at most that of all threads together.
#[test]
fn cpu_times_bound_the_estimate() {
    let desk = Desk::new();
    let config = desk.config(
        "cpu",
        "[network]\nN_per_rank = 2000\nK = 300\n[simulation]\nT = 150.0\n",
    );
    for threads in [1, 8] {
        let said = rehearsed(text(&config), 2, 1, threads, &[]);
        let cpu = |phase: &str, of: &str| number(&said["cpu_time"][phase][of]);
        let mut all = 0.0;
        for phase in ["deliver", "update", "collocate", "receive", "record"] {
            let (total, slowest) = (cpu(phase, "total"), cpu(phase, "slowest_thread"));
            assert!(
                slowest > 0.0 && slowest <= total,
                "{phase}: {slowest} of {total}"
            );
            assert!(total <= threads as f64 * slowest * 1.0001);
            all += total;
        }
        let estimated = &said["estimated"];
        let [path, serial] = ["critical_path", "serial"].map(|key| number(&estimated[key]));
        assert!(serial > 0.0 && serial < path, "{serial} of {path}");
        assert!(all <= threads as f64 * path * 1.0001 && path <= all * 1.0001);
        assert!((number(&estimated["real_time_factor"]) - path / 0.15).abs() < 1e-6);
        let cores = std::thread::available_parallelism().expect("known").get();
        assert_eq!(said["threads_take_turns"], threads > cores);
    }
}

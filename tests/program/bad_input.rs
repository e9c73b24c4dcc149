//! Bad input through the program: exit code 2, one line that says what is wrong, promptly, and
//! nothing left behind. (What a config may say is in bad_config.rs.)

use std::fs;

use hdf5::File;

use crate::bench::{Bench, assert_refused, initial, network, put, spikes, write};
use crate::common::{read_run, run, text};

#[test]
fn the_good_files_are_taken() {
    let bench = Bench::new();
    for (key, fill) in [
        ("network.edges", network as fn(&File)),
        ("stimulus.spikes", spikes),
        ("neuron.initial", initial),
    ] {
        let path = bench.path(&format!("{key}.h5"));
        write(&path, fill);
        let set = format!("{key}={}", path.display());
        bench
            .run(1, &["--force", "--quiet", "--set", &set])
            .expect(0);
        let model = "neuron.model=ignore_and_fire";
        bench
            .run(1, &["--force", "--quiet", "--set", &set, "--set", model])
            .expect(0);
    }
}

#[test]
fn misused_arguments() {
    let bench = Bench::new();
    let config = text(&bench.config);
    let cases: [(&[&str], &str); 11] = [
        (&["plann", config], "did you mean stdp-hpc plan?"),
        (
            &[],
            "the following required arguments were not provided: <CONFIG>",
        ),
        (&[config, "--foo"], "unexpected argument '--foo' found"),
        (
            &[config, "--forse"],
            "unexpected argument '--forse' found, did you mean --force?",
        ),
        (
            &[config, "again.toml"],
            "unexpected argument 'again.toml' found",
        ),
        (&[config, "plan"], "plan must be the first argument"),
        (
            &["plan", "--threads", "2"],
            "the following required arguments were not provided: <CONFIG>",
        ),
        (
            &[config, "--threads", "two"],
            "invalid value 'two' for '--threads <T>': must be an integer ≥ 0",
        ),
        (
            &[config, "--threads", "-1"],
            "unexpected argument '-1' found",
        ),
        (
            &[config, "--quiet", "--verbose"],
            "the argument '--quiet' cannot be used with '--verbose'",
        ),
        (
            &[config, "--set"],
            "a value is required for '--set <TABLE.KEY=VALUE>' but none was supplied",
        ),
    ];
    for (arguments, message) in cases {
        let message = format!("{message} (--help explains all)");
        assert_refused(&run(1, arguments), &message);
    }
    bench.refuses(
        &["--threads", "0"],
        "--threads 0: must be an integer 1 … 1024",
    );
    bench.refuses(
        &["--set", "network.N"],
        r#"--set "network.N": must be table.key=value"#,
    );
    bench.refuses(
        &["--set", "network.NN=7"],
        r#"--set: [network] unknown key "NN", did you mean "N"?"#,
    );
    bench.refuses(
        &["--set", "simulation.T=0.1"],
        "--set: [simulation] T = 0.1: must be a whole number of steps of dt = 0.125 ms, \
         1 … 2146435071 of them",
    );
}

#[test]
fn help_and_version_are_no_faults() {
    for (argument, part) in [
        ("--help", "Usage: stdp-hpc [OPTIONS] <CONFIG>"),
        ("--version", "stdp-hpc 0."),
    ] {
        let ended = run(1, &[argument]).expect(0);
        assert!(ended.stdout.contains(part), "{ended:?}");
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn configs_that_cannot_be_read() {
    let bench = Bench::new();
    let latin = bench.path("latin.toml");
    fs::write(&latin, b"# caf\xe9\n[network]\nN = 10\n").expect("written");
    for (path, why) in [
        (
            &bench.path("missing.toml"),
            "cannot be read: No such file or directory",
        ),
        (
            &bench.desk.path().to_owned(),
            "cannot be read: Is a directory",
        ),
        (
            &latin,
            "line 1: byte 0xe9 is not UTF-8: save the file as UTF-8 (it may be Latin-1)",
        ),
        (
            &bench.config.join("below"),
            "cannot be read: Not a directory",
        ),
    ] {
        let message = format!("{}: {why}", path.display());
        let out = text(&bench.out);
        assert_refused(&run(1, &[text(path), "--out", out]), &message);
        assert!(!bench.path("new").exists());
    }
}

#[test]
fn files_that_are_missing_or_no_hdf5() {
    let bench = Bench::new();
    let path = bench.path("input.h5");
    for key in ["network.edges", "stimulus.spikes", "neuron.initial"] {
        let set = format!("{key}={}", path.display());
        let cannot = format!("{}: cannot be opened", path.display());
        let refuses = |why: &str| bench.refuses(&["--set", &set], &format!("{cannot}{why}"));

        let missing = "cannot be opened: No such file or directory";
        let why = format!("{key} = {}: {missing}", path.display());
        bench.refuses(&["--set", &set], &why);
        fs::create_dir(&path).expect("directory");
        let why = format!("{}: is not a file", path.display());
        bench.refuses(&["--set", &set], &why);
        fs::remove_dir(&path).expect("directory");
        for content in ["", "x", "E,E,30.0\n"] {
            fs::write(&path, content).expect("written");
            refuses(" as an HDF5 file: file signature not found");
        }
        fs::remove_file(&path).expect("removed");
    }
}

#[test]
fn truncated_files() {
    let bench = Bench::new();
    let path = bench.path("input.h5");
    for (key, fill) in [
        ("network.edges", network as fn(&File)),
        ("stimulus.spikes", spikes),
        ("neuron.initial", initial),
    ] {
        write(&path, fill);
        let whole = fs::read(&path).expect("read");
        let set = format!("{key}={}", path.display());
        let half = whole.len() / 2;
        for length in [1, 8, 50, 96, 500, half, half + 1, whole.len() - 1] {
            fs::write(&path, &whole[..length]).expect("written");
            let why = match length {
                1 => "file signature not found".to_owned(),
                8 => "bad byte number in an address".to_owned(),
                _ => format!(
                    "truncated file: eof = {length}, sblock->base_addr = 0, stored_eof = {}",
                    whole.len()
                ),
            };
            let path = path.display();
            let message = format!("{path}: cannot be opened as an HDF5 file: {why}");
            bench.refuses(&["--set", &set], &message);
        }
    }
}

#[test]
fn edges_at_fault() {
    let bench = Bench::new();
    let refuses = |change: fn(&File), message: &str| {
        let fill = |file: &File| {
            network(file);
            change(file);
        };
        bench.refuses_file("network.edges", fill, message);
    };
    refuses(
        |file| file.unlink("edges").unwrap(),
        "group /edges is missing",
    );
    refuses(
        |file| file.unlink("edges/I_to_I").unwrap(),
        "group /edges/I_to_I is missing",
    );
    refuses(
        |file| file.unlink("edges/E_to_I/0").unwrap(),
        "group /edges/E_to_I/0 is missing",
    );
    refuses(
        |file| file.unlink("edges/E_to_E/0/delay").unwrap(),
        "dataset /edges/E_to_E/0/delay is missing",
    );
    refuses(
        |file| file.unlink("edges/E_to_E/target_node_id").unwrap(),
        "dataset /edges/E_to_E/target_node_id is missing",
    );
    refuses(
        |file| put(file, "edges/E_to_E/0/syn_weight", &[30.0; 3]),
        "/edges/E_to_E/0/syn_weight has 3 entries: must be 2, as /edges/E_to_E/source_node_id has",
    );
    refuses(
        |file| put(file, "edges/E_to_E/source_node_id", &[0.0, 1.0]),
        "/edges/E_to_E/source_node_id: must be integers",
    );
    refuses(
        |file| put(file, "edges/E_to_E/source_node_id", &[0_u64, 8]),
        "/edges/E_to_E/source_node_id[1] = 8: must be 0 … 7 (population E)",
    );
    refuses(
        |file| put(file, "edges/E_to_I/target_node_id", &[2_u64, 0]),
        "/edges/E_to_I/target_node_id[0] = 2: must be 0 … 1 (population I)",
    );
    refuses(
        |file| put(file, "edges/I_to_I/source_node_id", &[0_i64, -1]),
        "/edges/I_to_I/source_node_id[1] = -1: must be 0 … 1 (population I)",
    );
    refuses(
        |file| put(file, "edges/I_to_I/0/syn_weight", &[f64::NAN, 30.0]),
        "/edges/I_to_I/0/syn_weight[0] = NaN: must be finite",
    );
    refuses(
        |file| put(file, "edges/E_to_I/0/syn_weight", &[30.0, f64::INFINITY]),
        "/edges/E_to_I/0/syn_weight[1] = inf: must be finite",
    );
    refuses(
        |file| put(file, "edges/E_to_E/0/syn_weight", &[30.0, -0.5]),
        "/edges/E_to_E/0/syn_weight[1] = -0.5: must not be negative, being plastic",
    );
    refuses(
        |file| put(file, "edges/I_to_E/0/delay", &[1.51, 1.51]),
        "/edges/I_to_E/0/delay[0] = 1.51: must be a whole number of steps of 0.125 ms, at least 1",
    );
    refuses(
        |file| put(file, "edges/I_to_E/0/delay", &[0.0, 0.0]),
        "/edges/I_to_E/0/delay[0] = 0: must be a whole number of steps of 0.125 ms, at least 1",
    );
    refuses(
        |file| put(file, "edges/I_to_E/0/delay", &[1.5, 1.625]),
        "/edges/I_to_E/0/delay[1] = 1.625: must be 1.5 ms, the projection's first delay, for all \
         its edges",
    );
}

#[test]
fn initial_states_at_fault() {
    let bench = Bench::new();
    let refuses = |change: fn(&File), message: &str| {
        let fill = |file: &File| {
            initial(file);
            change(file);
        };
        bench.refuses_file("neuron.initial", fill, message);
    };
    refuses(
        |file| file.unlink("initial").unwrap(),
        "group /initial is missing",
    );
    refuses(
        |file| file.unlink("initial/phase").unwrap(),
        "dataset /initial/phase is missing",
    );
    refuses(
        |file| put(file, "initial/rate", &[40.0; 8]),
        "/initial/rate has 8 entries: must be 10, one per neuron",
    );
    let with = |value: f64| std::array::from_fn::<_, 10, _>(|i| if i == 7 { value } else { 0.5 });
    let of = |name: &str, value: f64, message: &str| {
        let fill = |file: &File| {
            initial(file);
            put(file, &format!("initial/{name}"), &with(value));
        };
        bench.refuses_file("neuron.initial", fill, message);
    };
    of("rate", f64::NAN, "/initial/rate[7] = NaN: must be finite");
    of(
        "rate",
        0.0,
        "/initial/rate[7] = 0: must be 7.450580596923828e-6 … 8000 (spikes/s: one in 2^30 steps … one per step)",
    );
    of(
        "rate",
        8001.0,
        "/initial/rate[7] = 8001: must be 7.450580596923828e-6 … 8000 (spikes/s: one in 2^30 steps … one per step)",
    );
    of(
        "phase",
        0.0,
        "/initial/phase[7] = 0: must be > 0 and ≤ 1 (of a period)",
    );
    of(
        "phase",
        1.25,
        "/initial/phase[7] = 1.25: must be > 0 and ≤ 1 (of a period)",
    );
}

#[test]
fn external_spikes_at_fault() {
    let bench = Bench::new();
    let refuses = |change: fn(&File), message: &str| {
        let fill = |file: &File| {
            spikes(file);
            change(file);
        };
        bench.refuses_file("stimulus.spikes", fill, message);
    };
    refuses(
        |file| file.relink("spikes/X", "spikes/E").unwrap(),
        "group /spikes/X is missing",
    );
    refuses(
        |file| put(file, "spikes/X/node_ids", &[0_u64, 10, 3]),
        "/spikes/X/node_ids[1] = 10: must be 0 … 9 (population X)",
    );
    refuses(
        |file| put(file, "spikes/X/node_ids", &[0_u64, 1]),
        "/spikes/X/timestamps has 3 entries: must be 2, as /spikes/X/node_ids has",
    );
    refuses(
        |file| put(file, "spikes/X/timestamps", &[0.0, 1.0, 2.0]),
        "/spikes/X/timestamps[0] = 0: must be a whole number of steps of 0.125 ms, at least 1",
    );
    refuses(
        |file| put(file, "spikes/X/timestamps", &[0.125, 1.0, 2.1]),
        "/spikes/X/timestamps[2] = 2.1: must be a whole number of steps of 0.125 ms, at least 1",
    );
}

/// Good input after all: a recording longer than the run, by more than memory would hold.
#[test]
fn external_spikes_after_the_end_cost_nothing() {
    let bench = Bench::new();
    let path = bench.path("input.h5");
    write(&path, |file| {
        let group = file.create_group("spikes/X").expect("group");
        put(&group, "node_ids", &[9999_u64, 3, 0]);
        put(&group, "timestamps", &[0.125, 1.0, 2e8]);
    });
    let set = format!("stimulus.spikes={}", path.display());
    let sets = ["--quiet", "--set", "network.N=10000", "--set", &set];
    bench.run(1, &sets).expect(0);
    let peak = &read_run(&bench.out)["memory"]["peak_per_rank"]["max"];
    let peak = peak.as_f64().expect("a number");
    assert!(peak < 2e8, "{peak} bytes");
}

/// A network that takes many seconds to draw, and does not get that far.
#[test]
fn files_are_looked_at_before_the_network_is_drawn() {
    let bench = Bench::new();
    let path = bench.path("input.h5");
    write(&path, initial);
    let refuses = |arguments: &[&str], message: &str| {
        let large = [
            "--set",
            "network.N=200000",
            "--set",
            "network.K=4000",
            "--set",
        ];
        bench.refuses(&[&large[..], arguments].concat(), message);
    };
    let path = path.display();
    refuses(
        &[&format!("neuron.initial={path}")],
        &format!("{path}: /initial/V_m has 10 entries: must be 200000, one per neuron"),
    );
    refuses(
        &[&format!("stimulus.spikes={path}")],
        &format!("{path}: group /spikes is missing"),
    );
}

/// Two ranks say it once, as soon as one does, whoever of them sees the fault.
#[test]
fn ranks_end_together_with_one_message() {
    let bench = Bench::new();
    let rates = bench.path("rates.h5");
    write(&rates, |file| {
        initial(file);
        let rates: [f64; 10] = std::array::from_fn(|i| if i == 7 { 0.0 } else { 40.0 });
        put(file, "initial/rate", &rates);
    });
    let edges = bench.path("edges.h5");
    write(&edges, |file| {
        network(file);
        put(file, "edges/I_to_I/target_node_id", &[0_u64, 5]);
    });
    let refuses = |arguments: &[&str], message: &str| {
        let ended = bench.run(2, arguments);
        let lines: Vec<_> = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("stdp-hpc: "))
            .collect();
        assert_eq!(lines, [format!("stdp-hpc: {message}")], "{ended:?}");
        assert_eq!((ended.code, &ended.stdout[..]), (Some(2), ""), "{message}");
        assert!(!bench.path("new").exists(), "a directory was left behind");
    };
    refuses(
        &["--foo"],
        "unexpected argument '--foo' found (--help explains all)",
    );
    refuses(
        &["--set", "network.beta=2.0"],
        "--set: [network] beta = 2.0: must be 0 … 1",
    );
    // Neuron 7 lives on rank 1.
    refuses(
        &[
            "--set",
            "neuron.model=ignore_and_fire",
            "--set",
            &format!("neuron.initial={}", rates.display()),
        ],
        &format!(
            "{}: /initial/rate[7] = 0: must be 7.450580596923828e-6 … 8000 (spikes/s: one in 2^30 steps … one per step)",
            rates.display()
        ),
    );
    refuses(
        &["--set", &format!("network.edges={}", edges.display())],
        &format!(
            "{}: /edges/I_to_I/target_node_id[1] = 5: must be 0 … 1 (population I)",
            edges.display()
        ),
    );
    let out = bench.config.display().to_string();
    let ended = run(2, &[&out, "--out", &out]);
    let line = format!("stdp-hpc: --out {out}: is not a directory");
    assert!(ended.stderr.lines().any(|l| l == line), "{ended:?}");
    assert_eq!(ended.code, Some(2));
}

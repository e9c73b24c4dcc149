//! Times that leave the program: decimal numbers, in the units of the config, in every file, table
//! and message; and run.json of this format, of the one before, and of one to come.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{
    Desk, LIMIT, RunResult, as_format_1, command_alone, open, program, run, start, text,
};
use stdp_hpc::base::units::Ms;
use stdp_hpc::io::analysis::Results;
use stdp_hpc::io::outcome::RunRecord;
use stdp_hpc::tools::report::figures_of_run;

/// Every neuron fires at every step, the last one included, on a grid of decimal steps.
const CONFIG: &str = r#"
[network]
N = 20
K = 5
[neuron]
ignore_and_fire = { rate = [10000.0, 10000.0] }
[synapse]
delay = 0.3
[simulation]
T = 100.3
dt = 0.1
[record]
weights = { at = [0.3] }
weights_over_time = { every = 0.7 }
"#;

/// The result of a run with `sets`.
fn result(desk: &Desk, sets: &[&str]) -> RunResult {
    desk.result(&desk.config("tenths", CONFIG), 1, 1, sets)
}

/// The number with one decimal that is nearest to `value`, read from its digits.
fn tenth(value: f64) -> f64 {
    format!("{value:.1}").parse().expect("a number")
}

#[test]
fn files_hold_decimal_times() {
    let desk = Desk::new();
    let result = result(&desk, &[]);
    for population in ["E", "I"] {
        let (_, times) = result.spikes(population);
        assert!(
            times.iter().all(|&time| time == tenth(time)),
            "{population}"
        );
        assert_eq!(times.last(), Some(&100.3), "at T, and not after it");
        assert!(times.contains(&0.3));
    }
    let weights = open(&result.path().join("weights.h5"));
    let group = weights.group("edges/E_to_E/0").expect("edges");
    let mut names = group.member_names().expect("names");
    names.sort();
    assert_eq!(
        names,
        [
            "delay",
            "syn_weight",
            "syn_weight_at_0.3ms",
            "syn_weight_at_100.3ms"
        ]
    );
    let snapshot = group.dataset("syn_weight_at_0.3ms").expect("a snapshot");
    let time: f64 = snapshot.attr("time_ms").unwrap().read_scalar().unwrap();
    assert_eq!(time, 0.3);
    let delays: Vec<f64> = group.dataset("delay").unwrap().read_raw().unwrap();
    assert!(delays.iter().all(|&delay| delay == 0.3));
    let samples = weights.dataset("weight_histogram/time").expect("samples");
    let samples: Vec<f64> = samples.read_raw().expect("times");
    assert!(
        samples.iter().all(|&time| time == tenth(time)),
        "{samples:?}"
    );
    assert_eq!(samples[..4], [0.0, 0.7, 1.4, 2.1]);
}

#[test]
fn tables_and_messages_show_decimal_times() {
    let desk = Desk::new();
    let result = result(&desk, &[]);
    let export = |arguments: &str| {
        let mut all = vec!["export", text(result.path())];
        all.extend(arguments.split(' '));
        run(1, &all)
    };
    // More digits than the grid has would show a product of doubles.
    let decimals = |cell: &str| cell.split_once('.').map_or(0, |(_, after)| after.len());
    for (arguments, columns) in [
        ("spikes --from 100.2", &[2][..]),
        ("rates --bin 0.7", &[1, 2]),
        ("connectivity --at 0.3", &[3]),
    ] {
        let table = export(arguments).expect(0).stdout;
        assert!(table.lines().count() > 20, "{table}");
        for row in table.lines().skip(1) {
            let cells: Vec<&str> = row.split(',').collect();
            for &column in columns {
                assert!(decimals(cells[column]) <= 1, "{arguments}: {row}");
            }
        }
    }
    let told = export("rates --from 100.3").expect(2).stderr;
    assert!(
        told.ends_with("to 100.3: must be later than from 100.3 (ms)\n"),
        "{told}"
    );
    let told = export("rates --from 100.4").expect(2).stderr;
    assert!(told.ends_with(", 0 … 100.3 ms\n"), "{told}");
    let told = export("matrix --at 0.4").expect(2).stderr;
    assert!(told.ends_with("must be one of 0.3, 100.3 ms\n"), "{told}");
    let figures = figures_of_run(result.path()).expect("figures");
    let activity = figures.iter().find(|figure| figure.name == "activity");
    let range = activity.expect("activity").rows[0][0].x.range;
    assert_eq!(
        range,
        (90.3, 100.3),
        "as many spikes as a raster has room for"
    );
}

#[test]
fn the_screen_shows_the_model_time() {
    let desk = Desk::new();
    let config = desk.config("tenths", CONFIG);
    // Intervals are 0.3 ms long: both warm-ups end within one.
    for (presim, model) in [("0.0", "0.3"), ("0.1", "0.3"), ("1.0", "200.2")] {
        let sets = [
            format!("simulation.presim={presim}"),
            format!("simulation.T={model}"),
            "record.weights=true".to_owned(),
        ];
        let mut arguments = vec![text(&config)];
        for set in &sets {
            arguments.extend(["--set", set]);
        }
        let (result, ended) = desk.result_of(command_alone(program()), &arguments);
        let shown = format!("({model} ms model time)");
        assert!(ended.stdout.contains(&shown), "{}", ended.stdout);
        assert_eq!(result.run["model_time_ms"].to_string(), model);
        let until = presim.parse::<f64>().unwrap() + model.parse::<f64>().unwrap();
        let recorded = json!({"after": presim.parse::<f64>().unwrap(), "until": tenth(until)});
        assert_eq!(result.run["recorded_time_ms"], recorded);
    }
}

#[test]
fn run_json_has_the_values_of_the_config_and_steps_apart() {
    let desk = Desk::new();
    let sets = ["simulation.presim=0.3", "neuron.model=iaf_psc_alpha"];
    let run = result(&desk, &sets).run;
    assert_eq!(run["format"], 2);
    assert_eq!(run["note"], Value::Null);
    let delays = |delay: Value| {
        let names = ["E_to_E", "E_to_I", "I_to_E", "I_to_I", "X_to_all"];
        json!(
            names
                .map(|name| (name.to_owned(), delay.clone()))
                .into_iter()
                .collect::<serde_json::Map<_, _>>()
        )
    };
    for (path, value) in [
        ("/parameters/simulation/T", json!(100.3)),
        ("/parameters/simulation/presim", json!(0.3)),
        ("/parameters/simulation/dt", json!(0.1)),
        ("/parameters/neuron/t_ref", json!(2.0)),
        ("/parameters/neuron/tau_m", json!(20.0)),
        ("/parameters/synapse/delay", delays(json!(0.3))),
        ("/parameters/record/weights/at", json!([0.3])),
        ("/parameters/record/weights_over_time/every", json!(0.7)),
        ("/delay", delays(json!(0.3))),
        (
            "/parameters_in_steps",
            json!({
                "neuron": {"t_ref": 20},
                "synapse": {"delay": delays(json!(3))},
                "simulation": {"T": 1003, "presim": 3},
                "record": {"weights": {"at": [3]}, "weights_over_time": {"every": 7}},
                "delay": delays(json!(3)),
            }),
        ),
    ] {
        assert_eq!(run.pointer(path), Some(&value), "{path}");
    }
}

#[test]
fn all_that_is_written_is_read_again() {
    let desk = Desk::new();
    let result = result(&desk, &[]);
    let read = RunRecord::read(result.path()).expect("what was written");
    assert_eq!(read.format, 2);
    assert_eq!(read.parameters, result.run["parameters"]);
    let provenance = serde_json::to_value(&read.provenance).expect("JSON");
    assert_eq!(provenance, result.run["provenance"]);
    let outcome = serde_json::to_value(read.outcome.expect("done")).expect("JSON");
    for (key, value) in outcome.as_object().expect("an object") {
        assert_eq!(&result.run[key], value, "{key}");
    }
}

#[test]
fn the_format_before_is_converted() {
    let desk = Desk::new();
    let result = result(&desk, &[]);
    let (page, exported) = (
        desk.path().join("page.html"),
        ["export", text(result.path()), "rates"],
    );
    let report = ["report", text(result.path()), "-o", text(&page), "--force"];
    let shown = || {
        run(1, &report).expect(0);
        (
            fs::read_to_string(&page).expect("a page"),
            run(1, &exported).expect(0).stdout,
        )
    };
    let before = shown();
    write(result.path(), &as_format_1(result.run.clone()));
    let read = RunRecord::read(result.path()).expect("an older one");
    assert_eq!(
        (read.format, &read.parameters),
        (1, &result.run["parameters"])
    );
    assert_eq!(
        json!(read.outcome.expect("done").delay),
        result.run["delay"]
    );
    let window = Results::open(result.path())
        .expect("an older one")
        .window(None, None);
    assert_eq!(window.expect("recorded").length(Ms(0.1)), Ms(100.3));
    assert!(shown() == before, "page and table are those of format 2");
}

#[test]
fn a_format_to_come_is_refused_by_all() {
    let desk = Desk::new();
    let result = result(&desk, &[]);
    let mut newer = result.run.clone();
    newer["format"] = json!(3);
    write(result.path(), &newer);
    let directory = text(result.path());
    let page = desk.path().join("page.html");
    for arguments in [
        &["report", directory, "-o", text(&page)][..],
        &["export", directory, "rates"],
    ] {
        let told = run(1, arguments).expect(2).stderr;
        let why = "run.json: has format 3, which this build does not know (1 … 2): read it with";
        assert!(told.contains(why) && told.lines().count() == 1, "{told}");
    }
    let output = Command::new("python3")
        .arg(root().join("scripts/nest_network.py"))
        .arg(format!("{directory}/run.json"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("starts");
    assert!(!output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stderr).expect("UTF-8");
    let why = "run.json: format 3 is not known here (1 … 2): use the scripts of the build";
    assert!(told.contains(why) && !told.contains("Traceback"), "{told}");
}

/// Weights whose names older builds made of the product of steps and dt.
#[test]
fn names_of_older_snapshots_are_found() {
    let desk = Desk::new();
    let result = result(&desk, &[]);
    let path = result.path().join("weights.h5");
    let draft = desk.path().join("draft.h5");
    fs::copy(&path, &draft).expect("copied");
    {
        let file = hdf5::File::open_rw(&draft).expect("opened");
        let group = file.group("edges/E_to_E/0").expect("edges");
        let old = "syn_weight_at_0.30000000000000004ms";
        group.relink("syn_weight_at_0.3ms", old).expect("renamed");
    }
    fs::copy(&draft, &path).expect("copied");
    let results = Results::open(result.path()).expect("a result");
    assert_eq!(results.snapshots().expect("times"), [Ms(0.3), Ms(100.3)]);
    assert_eq!(
        results.weights(Some(Ms(0.3))).expect("weights").at(),
        Ms(0.3)
    );
    let arguments = ["export", text(result.path()), "matrix", "--at", "0.4"];
    let told = run(1, &arguments).expect(2).stderr;
    assert!(told.ends_with("must be one of 0.3, 100.3 ms\n"), "{told}");
}

/// Runs docs/neo.md and tests/neo_check.py on results, where a Python with neo is named.
#[test]
fn neo_and_elephant_take_the_spikes() {
    let Some(python) = std::env::var_os("STDP_HPC_PYTHON") else {
        eprintln!("note: not checked with neo, STDP_HPC_PYTHON is not set");
        return;
    };
    let desk = Desk::new();
    let config = desk.config("tenths", CONFIG);
    let iaf = [
        "neuron.model=iaf_psc_alpha",
        "network.N=200",
        "network.K=20",
    ];
    let other = |dt: &str, rate: f64| {
        let rate = format!("neuron.ignore_and_fire.rate=[{rate:?}, {rate:?}]");
        let delay = format!("synapse.delay={dt}");
        vec![rate, delay, "record.weights=true".to_owned()]
    };
    for (dt, end, sets) in [
        ("0.1", "100.3", Vec::new()),
        ("0.1", "100.3", iaf.map(str::to_owned).to_vec()),
        // Periods of two steps: nearly all fire at the even ones, of which the last is one.
        ("0.3", "300.6", other("0.3", 3300.0)),
        ("0.7", "299.6", other("0.7", 1400.0)),
    ] {
        let at_end = sets.len() != iaf.len();
        let mut sets = sets;
        sets.push(format!("simulation.dt={dt}"));
        sets.push(format!("simulation.T={end}"));
        sets.push("record.weights_over_time=false".to_owned());
        let sets: Vec<&str> = sets.iter().map(|set| &set[..]).collect();
        let result = desk.result(&config, 1, 1, &sets);
        let exported = desk.path().join("rates.csv");
        let mut arguments = vec!["export", text(result.path()), "rates", "--per-neuron"];
        arguments.extend(["--population", "E", "--force", "-o", text(&exported)]);
        run(1, &arguments).expect(0);
        let mut command = Command::new(&python);
        let script = root().join("tests/neo_check.py");
        command
            .arg(script)
            .arg(result.path())
            .arg(end)
            .arg(&exported);
        let ended = start(command).wait(LIMIT).expect(0);
        let said = format!("the last spike at {end} ms\n");
        assert!(ended.stdout.ends_with(&said) || !at_end, "{ended:?}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Replaces the run.json in `directory`.
fn write(directory: &Path, run: &Value) {
    fs::write(directory.join("run.json"), run.to_string()).expect("written");
}

//! `dry-run` of several numbers of ranks: the table says what the rehearsals said, rehearsals that
//! are done are kept, and what does not belong together is refused.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Ended, LIMIT, Started, command_alone, program, signal, start};

const CONFIG: &str = "[network]\nN_per_rank = 100\nK = 30\n[simulation]\nT = 30.0\npresim = 15.0\n\
                      [neuron.ignore_and_fire]\nrate = [20.0, 60.0]\n";

/// A folder with a config.
struct Desk(TempDir);

impl Desk {
    fn new(config: &str) -> Self {
        let desk = Desk(tempfile::tempdir().expect("tempdir"));
        fs::write(desk.0.path().join("weak.toml"), config).expect("written");
        desk
    }

    /// Rehearses with the folder as working directory.
    fn call(&self, arguments: &[&str]) -> Ended {
        self.call_on("", arguments)
    }

    /// Rehearses with the instruction set `set`; if empty, with the widest.
    fn call_on(&self, set: &str, arguments: &[&str]) -> Ended {
        self.start(set, arguments).wait(LIMIT)
    }

    fn start(&self, set: &str, arguments: &[&str]) -> Started {
        let mut command = command_alone(program());
        command.arg("dry-run").args(arguments);
        command.current_dir(self.0.path());
        if !set.is_empty() {
            command.env("STDP_HPC_ISA", set);
        }
        start(command)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn rehearsal(&self, ranks: usize) -> Value {
        let file = self.read(&format!("out/ranks_{ranks}.json"));
        serde_json::from_str::<Value>(&file).expect("JSON")["rehearsal"].clone()
    }
}

/// Rows of the CSV, as cells by name.
fn csv(text: &str) -> Vec<Vec<(String, String)>> {
    let mut lines = text.lines();
    let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let header = cells(lines.next().expect("a header"));
    lines
        .map(|line| header.iter().cloned().zip(cells(line)).collect())
        .collect()
}

#[track_caller]
fn cell(row: &[(String, String)], name: &str) -> f64 {
    let found = row.iter().find(|(column, _)| column == name);
    let (_, value) = found.unwrap_or_else(|| panic!("no column {name}"));
    value.parse().expect("a number")
}

#[track_caller]
fn same(left: f64, right: f64) {
    assert!((left - right).abs() <= 1e-9 * right.abs(), "{left} {right}");
}

const SMALL: [&str; 5] = ["weak.toml", "--ranks", "8,1,2", "--out", "out"];

#[test]
fn table_says_what_the_rehearsals_said() {
    let desk = Desk::new(CONFIG);
    let ended = desk.call(&SMALL).expect(0);
    let table = desk.read("out/table.md");
    assert_eq!(ended.stdout, table);
    let rows = csv(&desk.read("out/scaling.csv"));
    assert_eq!(rows.len(), 3);
    for (row, ranks) in rows.iter().zip([1, 2, 8]) {
        let said = desk.rehearsal(ranks);
        let number = |pointer: &str| {
            said.pointer(pointer)
                .and_then(Value::as_f64)
                .expect(pointer)
        };
        same(cell(row, "ranks"), ranks as f64);
        same(
            cell(row, "network_modelled"),
            number("/network/seconds") / 0.03,
        );
        same(
            cell(row, "deliver_measured"),
            number("/wall_time/deliver") / 0.03,
        );
        same(
            cell(row, "simulate_measured"),
            number("/wall_time/simulate") / 0.03,
        );
        same(
            cell(row, "sent_per_interval"),
            number("/network/bytes_per_peer") * ranks as f64,
        );
        // 45 ms are 30 intervals, two thirds of them timed.
        same(number("/network/exchanges"), 20.0);
        same(
            cell(row, "received_spikes_per_interval"),
            number("/counts/received") / 30.0,
        );
        let structures = [
            "weights_and_targets",
            "row_index",
            "sources",
            "target_table",
            "neurons_and_buffers",
            "exchange",
        ];
        let sum: f64 = structures
            .map(|of| cell(row, &format!("memory_{of}")))
            .iter()
            .sum();
        same(sum, number("/memory/staying"));
        assert!(table.contains(&format!("\n| {ranks} | ")), "{table}");
    }
    // The network has nothing to do for one rank.
    assert_eq!(cell(&rows[0], "network_modelled"), 0.0);
    let png = fs::read(desk.0.path().join("out/scaling.png")).expect("a figure");
    assert!(png.starts_with(b"\x89PNG"));
    // Phases and the rest are the loop.
    for row in &rows {
        let measured = row.iter().filter(|(name, _)| name.ends_with("_measured"));
        let times = measured.filter(|(name, _)| !name.starts_with("memory"));
        let sum: f64 = times.map(|(name, _)| cell(row, name)).sum();
        same(sum, 2.0 * cell(row, "simulate_measured"));
    }
}

/// Made-up numbers with a crossover that is known.
#[test]
fn crossovers_are_interpolated_on_the_axis_of_log_ranks() {
    let desk = Desk::new(CONFIG);
    desk.call(&SMALL).expect(0);
    for (ranks, deliver) in [(1, 0.25), (2, 0.5), (8, 2.0)] {
        let name = format!("out/ranks_{ranks}.json");
        let mut file: Value = serde_json::from_str(&desk.read(&name)).expect("JSON");
        let times = &mut file["rehearsal"]["wall_time"];
        times["update"] = 1.0.into();
        times["deliver"] = deliver.into();
        times["receive"] = 1.5.into();
        times["collocate"] = 0.5.into();
        file["rehearsal"]["network"]["seconds"] = (ranks - 1).into();
        fs::write(desk.0.path().join(&name), file.to_string()).expect("written");
    }
    let ended = desk.call(&SMALL).expect(0);
    let table = &ended.stdout;
    // Deliver doubles from 2 to 4 and to 8 ranks.
    for line in [
        "- deliver > update: from R ≈ 4.0 on",
        "- receive > update: from R = 1 on, the smallest",
        "- collocate > update: not up to R = 8",
        // One rank has no network: the ratio there has no logarithm.
        "- network > deliver: from between R = 1 and 2 on",
    ] {
        assert!(table.contains(line), "{line} is not in\n{table}");
    }
    assert_eq!(ended.stderr, "", "nothing is rehearsed again");
    let one = desk
        .call(&["weak.toml", "--ranks=1", "--out=out"])
        .expect(0);
    assert!(!one.stdout.contains("crossover") && !one.stdout.contains("update:"));
}

#[test]
fn files_that_no_series_wrote_are_kept() {
    let desk = Desk::new(CONFIG);
    let refused = |arguments: &[&str], why: &str| {
        let said = desk.call(arguments).expect(2).stderr;
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
    };
    let path = |name: &str| desk.0.path().join(name);
    fs::create_dir(path("out")).expect("created");
    for name in ["table.md", "scaling.csv", "scaling.png"] {
        fs::write(path("out").join(name), "precious").expect("written");
        refused(&SMALL, &format!("out/{name}: exists"));
        assert_eq!(desk.read(&format!("out/{name}")), "precious");
        fs::remove_file(path("out").join(name)).expect("removed");
    }
    fs::write(path("out/table.md"), "old").expect("written");
    desk.call(&[&SMALL[..], &["--force"]].concat()).expect(0);
    // Files made from rehearsals are replaced.
    desk.call(&SMALL).expect(0);
    fs::create_dir(path("run")).expect("created");
    fs::write(path("run/run.json"), "{}").expect("written");
    refused(
        &["weak.toml", "--ranks=1,2", "--out=run"],
        "--out run: holds the result of a run",
    );
}

#[test]
fn a_signal_ends_the_series_and_what_is_done_stays() {
    let desk = Desk::new(CONFIG);
    // Far more rehearsals than are done until the signal comes.
    let ranks: Vec<String> = (1..1000).map(|ranks| ranks.to_string()).collect();
    let ranks = format!("--ranks={}", ranks.join(","));
    let started = desk.start("", &["weak.toml", &ranks, "--out=out", "-q"]);
    let first = desk.0.path().join("out/ranks_1.json");
    while !first.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let busy = ["weak.toml", "--ranks=1", "--out=out"];
    let busy = desk.call(&busy).expect(2).stderr;
    assert!(busy.contains("a dry run (process "), "{busy}");
    signal("TERM", &[started.id()]);
    let said = started.wait(LIMIT).expect(75).stderr;
    let files = fs::read_dir(desk.0.path().join("out")).expect("out");
    let done = files.count();
    let end = format!(
        "stdp-hpc: interrupted by SIGTERM: {done} rehearsals are done, the same command resumes it\n"
    );
    assert_eq!(said, end, "only rehearsals are left");
}

#[test]
fn what_is_there_is_kept_unless_it_is_of_something_else() {
    let desk = Desk::new(CONFIG);
    desk.call(&["weak.toml", "--ranks=2", "--out", "out"])
        .expect(0);
    let before = desk.read("out/ranks_2.json");
    let said = desk.call(&SMALL).expect(0).stderr;
    assert!(
        said.contains("rank 0 of 1\n") && !said.contains("of 2\n"),
        "{said}"
    );
    assert_eq!(desk.read("out/ranks_2.json"), before);

    let refused = |arguments: &[&str], why: &str| {
        let said = desk.call(&[&SMALL, arguments].concat()).expect(2).stderr;
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
    };
    refused(&["--set", "network.K=20"], "out/ranks_1.json: command was");
    refused(&["--rank", "1"], "out/ranks_2.json: command was");
    fs::write(
        desk.0.path().join("out/ranks_2.json"),
        before.replace("\"commit\": \"", "\"commit\": \"x"),
    )
    .expect("written");
    refused(&[], "out/ranks_2.json: commit is x");
    fs::write(desk.0.path().join("out/ranks_2.json"), &before).expect("written");
    let all = desk.call_on("portable", &SMALL).expect(0);
    assert_eq!(all.stderr, "", "a table needs no rehearsal on this machine");
    let more = [&SMALL[..], &["--ranks=4"]].concat();
    let said = desk.call_on("portable", &more).stderr;
    let widest = stdp_hpc::base::simd::InstructionSet::widest().name();
    if widest != "portable" {
        let why = format!("instruction set is {widest}, but portable here: ");
        assert!(said.contains(&why) && said.lines().count() == 1, "{said}");
    }
    fs::write(desk.0.path().join("out/ranks_2.json"), "{}").expect("written");
    refused(&[], "out/ranks_2.json: is no result of a rehearsal");
    fs::write(
        desk.0.path().join("weak.toml"),
        CONFIG.replace("30.0", "60.0"),
    )
    .expect("written");
    refused(&[], "out/ranks_1.json: config_sha256 was");
    desk.call(&[&SMALL[..], &["--force"]].concat()).expect(0);
    assert_eq!(desk.rehearsal(2)["model_time_ms"], 60.0);
}

#[test]
fn json_has_every_rehearsal() {
    let desk = Desk::new(CONFIG);
    let ended = desk
        .call(&["weak.toml", "--ranks=2,1", "--json", "-q"])
        .expect(0);
    assert_eq!(ended.stderr, "");
    let found: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let ranks = [0, 1].map(|nth| found[nth]["rehearsal"]["ranks"].as_u64());
    assert_eq!(ranks, [Some(1), Some(2)]);
    // The default place.
    desk.read("results/rehearsal/weak/ranks_2.json");
}

/// Names that a shell, clap or Markdown would read as something else.
#[test]
fn odd_names_of_the_config_are_taken_literally() {
    let desk = Desk::new(CONFIG);
    for (name, code) in [
        (
            "-x.toml",
            "`stdp-hpc dry-run --ranks=1 --rank=0 -- -x.toml`",
        ),
        (
            "a`b.toml",
            "`` stdp-hpc dry-run --ranks=1 --rank=0 'a`b.toml' ``",
        ),
        (
            "a\nb.toml",
            "`stdp-hpc dry-run --ranks=1 --rank=0 'a\\nb.toml'`",
        ),
    ] {
        fs::write(desk.0.path().join(name), CONFIG).expect("written");
        let out = format!("--out={}", code.len());
        let ended = desk.call(&["--ranks=1", &out, "--", name]);
        let table = ended.expect(0).stdout;
        assert!(table.contains(code), "{code} is not in {table}");
    }
}

#[test]
fn bad_input_ends_with_one_line() {
    let desk = Desk::new(CONFIG);
    let refused = |code: i32, ended: Ended, why: &str| {
        let said = ended.expect(code).stderr;
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("stdp-hpc: "), "{said}");
        assert!(last.contains(why), "{why} is not in: {last}");
        assert!(!desk.0.path().join("out/table.md").exists());
    };
    let with = |more: &[&str]| desk.call(&[&["weak.toml", "--out=out"], more].concat());
    refused(
        2,
        with(&["--ranks", "1,x"]),
        "'x' for '--ranks <R,…>': must be an integer",
    );
    refused(
        2,
        with(&["--ranks", "0,1"]),
        "--ranks 0: must be an integer 1 … ",
    );
    refused(2, with(&[]), "--ranks");
    refused(2, with(&["--ranks=1,2", "--rank", "-1"]), "-1");
    refused(
        2,
        with(&["--ranks=1,2", "--rank=2"]),
        "--rank 2: must be an integer 0 … 1 (--ranks 2)",
    );
    refused(2, with(&["--ranks=4", "--rank=9"]), "0 … 3 (--ranks 4)");
    refused(
        2,
        desk.call(&["weak.toml", "--ranks=4", "--force"]),
        "--force: needs --out",
    );
    refused(
        2,
        desk.call(&["/dev/null", "--ranks=1", "--out=out"]),
        "/dev/null: must be a file",
    );
    refused(2, with(&["--ranks=1,2", "--threads", "0"]), "threads");
    refused(
        2,
        with(&["--ranks=1,2", "--set", "network.k=1"]),
        "unknown key \"k\"",
    );
    refused(
        2,
        with(&["--ranks=1,2", "--set", "neuron.model=iaf_psc_alpha"]),
        "must be \"ignore_and_fire\"",
    );
    refused(
        2,
        desk.call(&["none.toml", "--ranks=1,2", "--out", "out"]),
        "none.toml: ",
    );
    let mut command = command_alone(program());
    let full = fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("a device");
    command.args(["dry-run", "weak.toml", "--ranks=1", "-q"]);
    command.current_dir(desk.0.path()).stdout(full);
    let ended = command.output().expect("started");
    assert_eq!(ended.status.code(), Some(1));
    let said = String::from_utf8(ended.stderr).expect("UTF-8");
    assert!(
        said.starts_with("stdp-hpc: standard output: cannot be written: "),
        "{said}"
    );
    fs::write(desk.0.path().join("file"), "").expect("written");
    refused(
        2,
        desk.call(&["weak.toml", "--ranks=1", "--out", "file"]),
        "file",
    );
}

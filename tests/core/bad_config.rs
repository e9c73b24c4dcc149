//! Bad input and the message it must give: `tests/core/bad_config/*.txt`, one case after another.
//!
//! A case is a `# title`, the lines of a config with `--set` lines among them, and `> ` with
//! the whole message. What a config lacks to be complete is added, so a case states only
//! what is wrong with it. Three ranks load it. [`FILES`] counts the cases.

use std::path::Path;

use stdp_hpc::base::error::{Error, Result};
use stdp_hpc::io::config;
use stdp_hpc::model::params::Params;

const FILES: [(&str, &str, usize); 11] = [
    ("syntax", include_str!("bad_config/syntax.txt"), 5),
    ("names", include_str!("bad_config/names.txt"), 18),
    ("network", include_str!("bad_config/network.txt"), 20),
    ("neuron", include_str!("bad_config/neuron.txt"), 33),
    ("synapse", include_str!("bad_config/synapse.txt"), 18),
    ("stdp", include_str!("bad_config/stdp.txt"), 9),
    ("stimulus", include_str!("bad_config/stimulus.txt"), 9),
    ("simulation", include_str!("bad_config/simulation.txt"), 13),
    ("record", include_str!("bad_config/record.txt"), 20),
    (
        "interconnect",
        include_str!("bad_config/interconnect.txt"),
        7,
    ),
    ("set", include_str!("bad_config/set.txt"), 13),
];

fn load(text: &str, overrides: &[String], threads: Option<usize>) -> Result<Params> {
    config::load(Path::new("configs/x.toml"), text, overrides, threads, 3)
}

/// One case of a file.
#[derive(Default)]
struct Case {
    title: String,
    config: String,
    overrides: Vec<String>,
    message: String,
}

/// The cases of a file, in order.
fn cases(file: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in file.lines().filter(|line| !line.is_empty()) {
        if let Some(title) = line.strip_prefix("# ") {
            cases.push(Case {
                title: title.to_owned(),
                ..Case::default()
            });
            continue;
        }
        let case = cases.last_mut().expect("a case starts with its title");
        if let Some(message) = line.strip_prefix("> ") {
            case.message = message.to_owned();
        } else if let Some(set) = line.strip_prefix("--set ") {
            case.overrides.push(set.to_owned());
        } else {
            case.config += &format!("{line}\n");
        }
    }
    for case in &mut cases {
        for (table, keys) in [
            ("network", "N = 1000\nK = 100"),
            ("simulation", "T = 100.0"),
        ] {
            if !case.config.contains(&format!("[{table}")) {
                case.config += &format!("[{table}]\n{keys}\n");
            }
        }
    }
    cases
}

#[test]
fn every_fault_has_its_line() {
    for (name, file, count) in FILES {
        let cases = cases(file);
        assert_eq!(cases.len(), count, "cases in {name}.txt");
        for case in cases {
            let title = format!("{name}: {}", case.title);
            let error = load(&case.config, &case.overrides, None).expect_err(&title);
            assert_eq!(error.to_string(), case.message, "{title}");
            assert_eq!(error.exit_code(), 2, "{title}");
            assert!(!error.to_string().contains('\n'), "{title}");
        }
    }
}

#[test]
fn threads_of_the_command_line_are_checked() {
    let config = "[network]\nN = 1000\n[simulation]\nT = 1.0\n";
    for threads in [0, 1025] {
        let message = format!("--threads {threads}: must be an integer 1 … 1024");
        let error = load(config, &[], Some(threads)).unwrap_err();
        assert_eq!(error, Error::Input(message));
    }
}

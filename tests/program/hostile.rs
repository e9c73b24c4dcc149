//! Files that were made to do harm, and shells that launchers left their words in.
//!
//! The HDF5 files in tests/hostile were found by fuzzing or made with h5py: each crashed the
//! library, took gigabytes, read another file, or names a filter that is not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hdf5::File;

use crate::bench::{self, Bench, assert_refused, spikes, write};
use crate::common::{self, Ended, LIMIT, command_alone, program, start, text};

/// The program with so much address space (KiB) at most, and its arguments.
fn limited(kibibytes: u64, arguments: &[&str]) -> Ended {
    let mut command = command_alone(Path::new("/bin/bash"));
    let limit = format!("ulimit -v {kibibytes}; exec \"$0\" \"$@\"");
    command.args(["-c", &limit]).arg(program()).args(arguments);
    start(command).wait(LIMIT)
}

fn hostile(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    folder.join(name)
}

#[track_caller]
fn refused(key: &str, name: &str, message: &str) {
    let bench = Bench::new();
    let path = hostile(name);
    let set = format!("{key}={}", path.display());
    let (config, out) = (text(&bench.config), text(&bench.out));
    let ended = limited(3 << 20, &[config, "--out", out, "--set", &set]);
    assert_refused(&ended, &format!("{}: {message}", path.display()));
    assert!(!bench.path("new").exists(), "a directory was left behind");
    // What counts alone need not see it, but comes to a good end.
    let ended = limited(3 << 20, &["plan", config, "--set", &set]);
    assert!(matches!(ended.code, Some(0 | 2)), "{ended:?}");
    assert!(ended.stderr.lines().count() <= 1, "{ended:?}");
}

#[test]
fn a_virtual_dataset_mapped_onto_itself() {
    let why = "/initial/V_m is a virtual dataset: must hold its values itself (h5repack -l CONTI)";
    refused("neuron.initial", "initial_vds_loop.h5", why);
}

#[test]
fn what_crashes_the_library_ends_in_one_line() {
    let why = "the HDF5 library crashed reading /initial: the file is damaged";
    refused("neuron.initial", "initial_heap.h5", why);
}

/// However often it is opened: the report looks for spikes of both populations.
#[test]
fn a_result_that_crashes_the_library_does_too() {
    let bench = Bench::new();
    bench.run(1, &["--quiet"]).expect(0);
    let spikes = bench.out.join("spikes.h5");
    fs::copy(hostile("result_heap.h5"), &spikes).expect("copied");
    let why = "the HDF5 library crashed reading /@creator: the file is damaged";
    let message = format!("{}: {why}", spikes.display());
    assert_refused(
        &common::run(1, &["export", text(&bench.out), "rates"]),
        &message,
    );
    let page = bench.path("report.html");
    let report = ["report", text(&bench.out), "-o", text(&page)];
    let told = common::run(1, &report).expect(0).stderr;
    assert_eq!(told, format!("warning: not shown: {message}\n"));
}

/// Counts in a run.json that no run can have are shown, for want of anything better, as the most.
#[test]
fn counts_beyond_all_numbers_do_not_wrap() {
    let bench = Bench::new();
    bench.run(1, &["--quiet"]).expect(0);
    let (out, other) = (text(&bench.out), bench.path("other"));
    let path = bench.out.join("run.json");
    fs::create_dir(&other).expect("created");
    fs::copy(&path, other.join("run.json")).expect("copied");
    let run = fs::read_to_string(&path).expect("JSON");
    let mut run: serde_json::Value = serde_json::from_str(&run).expect("JSON");
    for name in ["synapses_static", "spikes_E"] {
        run["counts"][name] = u64::MAX.into();
    }
    run["ranks"] = (1_u64 << 63).into();
    run["threads"] = 2.into();
    fs::write(&path, run.to_string()).expect("written");
    let page = bench.path("report.html");
    let report = ["report", out, text(&other), "-o", text(&page)];
    let ended = common::run(1, &report);
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    assert!(matches!(ended.code, Some(0 | 2)), "{ended:?}");
}

#[test]
fn a_small_file_takes_no_gigabytes() {
    let why = "reading /spikes/X/timestamps@units takes more memory than any sound file needs";
    refused("stimulus.spikes", "spikes_4gb.h5", why);
    let why = "/spikes/X/node_ids claims 18446744073709551615 bytes, which a file of 3736 cannot \
               hold: it is damaged or was never filled";
    refused("stimulus.spikes", "spikes_2e61_rows.h5", why);
}

/// A file that is good as initial state is refused as external spikes.
#[test]
fn a_file_is_checked_for_each_of_its_roles() {
    let bench = Bench::new();
    let (draft, path) = (bench.path("draft.h5"), bench.path("both.h5"));
    fs::copy(hostile("spikes_4gb.h5"), &draft).expect("copied");
    let file = File::open_rw(&draft).expect("opened");
    bench::initial(&file);
    file.close().expect("closed");
    fs::copy(&draft, &path).expect("copied");
    let initial = format!("neuron.initial={}", path.display());
    let input = format!("stimulus.spikes={}", path.display());
    let (config, out) = (text(&bench.config), text(&bench.out));
    let arguments = [config, "--out", out, "--quiet", "--set", &initial];
    limited(3 << 20, &arguments).expect(0);
    let arguments = [&arguments[..], &["--force", "--set", &input]].concat();
    let ended = limited(3 << 20, &arguments);
    let why = "reading /spikes/X/timestamps@units takes more memory than any sound file needs";
    assert_refused(&ended, &format!("{}: {why}", path.display()));
}

#[test]
fn a_filter_that_is_missing_is_named() {
    let why = "/spikes/X/node_ids is compressed with lzf, which cannot be read here: rewrite the \
               file with gzip or without compression (in h5py compression=\"gzip\" or None)";
    refused("stimulus.spikes", "lzf.h5", why);
}

#[test]
fn no_other_file_is_read() {
    let bench = Bench::new();
    // Made with h5py, both with a link to a file of this name beside them.
    write(&bench.path("other.h5"), spikes);
    for (name, why) in [
        (
            "external_link.h5",
            "/spikes/X/node_ids is an external link: must be in this file, links are not \
             followed to others",
        ),
        (
            "external_group.h5",
            "/spikes is a link to nothing that can be read in this file",
        ),
    ] {
        let path = bench.path(name);
        fs::copy(hostile(name), &path).expect("copied");
        let set = format!("stimulus.spikes={}", path.display());
        bench.refuses(&["--set", &set], &format!("{}: {why}", path.display()));
    }

    let raw = bench.path("raw");
    fs::write(&raw, [1; 24]).expect("written");
    let external = |file: &File| {
        spikes(file);
        let group = file.group("spikes/X").expect("group");
        group.unlink("node_ids").expect("unlinked");
        let new = group.new_dataset::<u64>().no_chunk().shape(3);
        new.external(text(&raw), 0, 24)
            .create("node_ids")
            .expect("dataset");
    };
    let why = "/spikes/X/node_ids is stored in another file: must be in this one \
               (h5repack -l CONTI)";
    bench.refuses_file("stimulus.spikes", external, why);
}

#[test]
fn soft_links_within_a_file_are_followed() {
    let bench = Bench::new();
    let path = bench.path("input.h5");
    write(&path, |file| {
        spikes(file);
        file.relink("spikes", "elsewhere").expect("moved");
        file.link_soft("/elsewhere", "spikes").expect("linked");
    });
    let set = format!("stimulus.spikes={}", path.display());
    bench.run(1, &["--quiet", "--set", &set]).expect(0);
}

#[test]
fn chunks_are_of_a_size() {
    let bench = Bench::new();
    let chunk = |file: &File| {
        spikes(file);
        let group = file.group("spikes/X").expect("group");
        group.unlink("node_ids").expect("unlinked");
        let new = group.new_dataset::<u64>().chunk(1 << 24).shape((3..,));
        new.create("node_ids").expect("dataset");
    };
    let why = "/spikes/X/node_ids has chunks of 134217728 bytes: must be at most 67108864 \
               (h5repack -l CHUNK=65536)";
    bench.refuses_file("stimulus.spikes", chunk, why);
}

/// What srun leaves in the environment of `srun -n 16 --pty bash`.
fn in_a_step(arguments: &[&str]) -> Command {
    let mut command = command_alone(program());
    command.args(arguments).envs([
        ("SLURM_JOB_ID", "1"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "0"),
        ("SLURM_STEP_NUM_TASKS", "16"),
    ]);
    command
}

#[test]
fn a_shell_inside_a_step_of_slurm() {
    let bench = Bench::new();
    bench.run(1, &["--quiet"]).expect(0);
    let (config, out) = (text(&bench.config), text(&bench.out));
    let page = bench.path("page.html");
    for arguments in [
        &["--version"][..],
        &["--help"],
        &["plan", config],
        &["export", out, "rates"],
        &["report", out, "-o", text(&page)],
    ] {
        let ended = start(in_a_step(arguments)).wait(LIMIT).expect(0);
        assert_eq!(ended.stderr, "", "{arguments:?}");
    }
    assert!(page.exists());
    let study = bench.path("study.toml");
    fs::write(
        &study,
        "[study]\nconfig = \"small.toml\"\n[axes]\nsimulation.seed = [1]\n",
    )
    .expect("written");
    let done = bench.path("study");
    let arguments = ["study", text(&study), "--out", text(&done), "--quiet"];
    start(in_a_step(&arguments)).wait(LIMIT).expect(0);
}

#[test]
fn what_users_name_does_not_control_the_terminal() {
    let bench = Bench::new();
    let set = "network.edges=a\nb\u{1b}[31m\u{202e}";
    let ended = bench.run(1, &["--set", set]);
    let shown = bench.path("a\\nb\\u{1b}[31m\\u{202e}");
    let why = "cannot be opened: No such file or directory";
    assert_refused(
        &ended,
        &format!("network.edges = {}: {why}", shown.display()),
    );
}

#[test]
fn links_to_nothing_are_named() {
    let bench = Bench::new();
    let link = bench.path("link");
    std::os::unix::fs::symlink(bench.path("nowhere"), &link).expect("linked");
    let arguments = [text(&bench.config), "--out", text(&link)];
    let why = "is a link to nothing: remove it or name another directory";
    let message = format!("--out {}: {why}", link.display());
    assert_refused(&common::run(1, &arguments), &message);
}

#[test]
fn a_result_without_spikes_says_so() {
    let bench = Bench::new();
    let off = [
        "--set",
        "record.spikes=false",
        "--set",
        "record.weights=false",
    ];
    bench.run(1, &[&["--quiet"], &off[..]].concat()).expect(0);
    let out = text(&bench.out);
    for (what, name) in [("rates", "spikes"), ("connectivity", "weights")] {
        let message =
            format!("{out}: the run recorded no {name}: set record.{name} = true and run again");
        assert_refused(&common::run(1, &["export", out, what]), &message);
    }
}

/// A short form of tests/fuzz, where a Python with h5py is named.
#[test]
fn files_and_configs_spoilt_at_random() {
    let Some(python) = std::env::var_os("STDP_HPC_PYTHON") else {
        eprintln!("note: nothing is spoilt at random, STDP_HPC_PYTHON is not set");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    for (kind, cases) in [("toml", "300"), ("hdf5", "150")] {
        let mut command = command_alone(Path::new(&python));
        command
            .arg("-B")
            .arg(&script)
            .arg(program())
            .args([kind, cases]);
        start(command).wait(LIMIT).expect(0);
    }
}

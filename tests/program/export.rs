//! `stdp-hpc export`: what the tables hold equals what this test computes for itself from the
//! HDF5 files; files that will not do are named on one line.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use flate2::read::GzDecoder;
use hdf5::File;
use stdp_hpc::base::lock::DirectoryLock;
use stdp_hpc::base::units::{Gid, Ms, Steps};
use stdp_hpc::io::analysis::{Population, Results};
use stdp_hpc::io::sonata::spikes::SpikeWriter;

use crate::bench::{assert_refused, put};
use crate::common::{Desk, RunResult, command_alone, program, read_spikes, run, text};

/// 240 excitatory and 60 inhibitory neurons, 40 synapses each; 100 ms of warm-up, 1000 more. Of E
/// all, of I 10 are recorded; weights of 200 sources and 100 targets.
const CONFIG: &str = r#"
[network]
N = 300
K = 40
[neuron]
model = "iaf_psc_alpha"
[simulation]
T = 1000.0
presim = 100.0
[record]
n_rec = 250
weights = { at = [0.0, 250.0], sources = 200, targets = 100 }
"#;

fn result(desk: &Desk) -> RunResult {
    desk.result(&desk.config("small", CONFIG), 1, 1, &[])
}

/// The id by which the files of a result know each other.
fn id_of(result: &RunResult) -> String {
    result.run["id"].as_str().expect("an id").to_owned()
}

/// What `export DIR` with these arguments prints, as header and rows of cells.
#[track_caller]
fn table(directory: &Path, arguments: &str) -> (String, Vec<Vec<String>>) {
    let mut all = vec!["export", text(directory)];
    all.extend(arguments.split_whitespace());
    let ended = run(1, &all).expect(0);
    assert_eq!(ended.stderr, "");
    let mut lines = ended.stdout.lines();
    let header = lines.next().expect("a header").to_owned();
    let cells = |line: &str| line.split(',').map(str::to_owned).collect();
    (header, lines.map(cells).collect())
}

fn number(cell: &str) -> f64 {
    cell.parse().unwrap_or_else(|_| panic!("no number: {cell}"))
}

#[track_caller]
fn assert_close(found: &str, expected: f64) {
    let found = number(found);
    let near = (found - expected).abs() <= 1e-12 * expected.abs();
    assert!(near, "{found}, not {expected}");
}

/// Ids and times of a population after `after`, up to `until`.
fn spikes_of(result: &RunResult, population: &str, after: f64, until: f64) -> Vec<(u64, f64)> {
    let (ids, times) = result.spikes(population);
    let all = ids.into_iter().zip(times);
    all.filter(|&(_, time)| after < time && time <= until)
        .collect()
}

#[test]
fn spikes_are_those_of_the_file() {
    let desk = Desk::new();
    let result = result(&desk);
    // A time at which somebody spikes, so that the ends matter.
    let (_, times) = result.spikes("E");
    let (from, to) = (times[times.len() / 3], times[times.len() / 2]);
    for (arguments, populations, after, until) in [
        (String::new(), &["E", "I"][..], 0.0, 1e9),
        (format!("--from {from} --to {to}"), &["E", "I"], from, to),
        (format!("--population E --to {to}"), &["E"], 0.0, to),
        (format!("--from {from} --population I"), &["I"], from, 1e9),
    ] {
        let (header, rows) = table(result.path(), &format!("spikes {arguments}"));
        assert_eq!(header, "population,neuron,time_ms");
        let mut expected = Vec::new();
        for name in populations {
            let spikes = spikes_of(&result, name, after, until);
            assert!(spikes.len() > 5, "{name}: {} spikes", spikes.len());
            let row =
                |(id, time): (u64, f64)| vec![(*name).to_owned(), id.to_string(), time.to_string()];
            expected.extend(spikes.into_iter().map(row));
        }
        assert_eq!(rows, expected, "{arguments}");
    }
}

/// Spikes and CV (SD by mean of the intervals) of every neuron, by the textbook.
fn trains(spikes: &[(u64, f64)], neurons: u64) -> Vec<(usize, Option<f64>)> {
    let mut times = vec![Vec::new(); neurons as usize];
    for &(id, time) in spikes {
        times[id as usize].push(time);
    }
    let train = |times: Vec<f64>| {
        let intervals: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let n = intervals.len() as f64;
        let mean = intervals.iter().sum::<f64>() / n;
        let variance = intervals.iter().map(|i| (i - mean).powi(2)).sum::<f64>() / n;
        (times.len(), (n >= 2.0).then(|| variance.sqrt() / mean))
    };
    times.into_iter().map(train).collect()
}

#[test]
fn rates_are_those_of_the_spikes() {
    let desk = Desk::new();
    let result = result(&desk);
    let (_, means) = table(result.path(), "rates");
    let (_, late) = table(result.path(), "rates --from 200 --to 1000");
    let (header, rows) = table(result.path(), "rates --per-neuron --from 200 --to 1000");
    assert_eq!(
        header,
        "population,neuron,spikes,rate_per_s,cv_of_intervals"
    );
    let mut rows = rows.into_iter();
    for (place, (name, neurons)) in [("E", 240), ("I", 10)].into_iter().enumerate() {
        let all = spikes_of(&result, name, 0.0, 1e9).len();
        assert_eq!(
            means[place][..3],
            [name, &neurons.to_string(), &all.to_string()]
        );
        assert_close(&means[place][3], all as f64 / neurons as f64);
        if name == "E" {
            let told = result.run["rates"]["E"].as_f64().expect("a rate");
            assert_eq!(number(&means[place][3]), told);
        }

        let spikes = spikes_of(&result, name, 200.0, 1000.0);
        let trains = trains(&spikes, neurons);
        for (neuron, &(spikes, cv)) in trains.iter().enumerate() {
            let row = rows.next().expect("a row");
            assert_eq!(row[..3], [name, &neuron.to_string(), &spikes.to_string()]);
            assert_close(&row[3], spikes as f64 / 0.8);
            match cv {
                None => assert_eq!(row[4], ""),
                Some(cv) => assert!((number(&row[4]) - cv).abs() < 1e-9, "{row:?}, not {cv}"),
            }
        }
        let cvs: Vec<f64> = trains.iter().filter_map(|&(_, cv)| cv).collect();
        assert!(cvs.len() > 3 && cvs.len() < 250, "{} CVs", cvs.len());
        let mean = cvs.iter().sum::<f64>() / cvs.len() as f64;
        assert!((number(&late[place][4]) - mean).abs() < 1e-9);
        assert_eq!(late[place][5], cvs.len().to_string());
        assert_close(&late[place][3], spikes.len() as f64 / neurons as f64 / 0.8);
    }
    assert_eq!(rows.next(), None);
}

#[test]
fn rates_over_time_are_those_of_the_spikes() {
    let desk = Desk::new();
    let result = result(&desk);
    let (header, rows) = table(result.path(), "rates --population E --bin 30");
    assert_eq!(header, "population,from_ms,to_ms,spikes,rate_per_s");
    let bins = (0..34).map(|bin| {
        let from = 100.0 + 30.0 * f64::from(bin);
        (from, (from + 30.0).min(1100.0))
    });
    for (row, (from, to)) in rows.iter().zip(bins) {
        let spikes = spikes_of(&result, "E", from, to).len();
        let (ends, count) = ([from, to].map(|end| end.to_string()), spikes.to_string());
        assert_eq!(row[..4], ["E", &ends[0], &ends[1], &count]);
        assert_close(&row[4], spikes as f64 / 240.0 / (to - from) * 1000.0);
    }
    assert_eq!(rows.len(), 34);
}

#[test]
fn connections_and_their_matrix_are_those_of_the_file() {
    let desk = Desk::new();
    let result = result(&desk);
    let all = result.weights();
    assert!(all.len() > 2000, "{} synapses", all.len());
    for (arguments, name, sources, targets) in [
        ("", "syn_weight", 0..200, 0..100),
        ("--at 250", "syn_weight_at_250ms", 0..200, 0..100),
        ("--at 1100 --sources 7..60", "syn_weight", 7..60, 0..100),
        (
            "--sources 199..200 --targets 3..90 --at 0",
            "syn_weight_at_0ms",
            199..200,
            3..90,
        ),
        ("--sources 20..20", "syn_weight", 20..20, 0..100),
    ] {
        let synapses: Vec<_> = result
            .weights_named(name)
            .into_iter()
            .filter(|(source, target, _)| sources.contains(source) && targets.contains(target))
            .collect();
        let (header, rows) = table(result.path(), &format!("connectivity {arguments}"));
        assert_eq!(header, "source,target,weight_pA,delay_ms");
        let expected: Vec<Vec<String>> = synapses
            .iter()
            .map(|(source, target, weight)| {
                let row = [*source as f64, *target as f64, *weight, 1.5];
                row.map(|cell| cell.to_string()).to_vec()
            })
            .collect();
        assert_eq!(rows, expected, "{arguments}");

        let mut sums = BTreeMap::new();
        for (source, target, weight) in synapses {
            *sums.entry((source, target)).or_insert(0.0) += weight;
        }
        let arguments = match arguments.contains("--sources") {
            true => arguments.to_owned(),
            false => format!("{arguments} --sources 0..200"), // it takes 100 unasked
        };
        let (header, rows) = table(result.path(), &format!("matrix {arguments}"));
        let columns: String = targets
            .clone()
            .map(|target| format!(",to_{target}_pA"))
            .collect();
        assert_eq!(header, format!("source{columns}"));
        assert_eq!(rows.len(), sources.clone().count());
        for (row, source) in rows.iter().zip(sources) {
            assert_eq!(row[0], source.to_string());
            for (cell, target) in row[1..].iter().zip(targets.clone()) {
                let sum = sums.get(&(source, target)).copied().unwrap_or(0.0);
                assert_eq!(number(cell), sum, "{source} to {target}");
            }
        }
    }
    let pairs: std::collections::BTreeSet<_> = all.iter().map(|(s, t, _)| (s, t)).collect();
    assert!(pairs.len() < all.len(), "there are multapses to sum");
    let (_, rows) = table(result.path(), "matrix");
    assert_eq!((rows.len(), rows[0].len()), (100, 101));
}

#[test]
fn histograms_are_those_of_the_weights() {
    let desk = Desk::new();
    let result = result(&desk);
    for (arguments, sources, bins, max) in [
        ("", 0..200, 75, 150.0),
        ("--bins 7 --max 33.3 --sources 50..90", 50..90, 7, 33.3),
    ] {
        let weights: Vec<f64> = result
            .weights()
            .into_iter()
            .filter(|(source, _, _)| sources.contains(source))
            .map(|(_, _, weight)| weight)
            .collect();
        let (header, rows) = table(result.path(), &format!("histogram {arguments}"));
        assert_eq!(header, "from_pA,to_pA,synapses,fraction,density_per_pA");
        assert_eq!(rows.len(), bins + 2);
        let count = |holds: &dyn Fn(f64) -> bool| weights.iter().filter(|w| holds(**w)).count();
        let zeros = count(&|w| w == 0.0);
        assert!(zeros > 10 && zeros < weights.len(), "{zeros} zeros");
        let mut sum = 0;
        for (place, row) in rows.iter().enumerate() {
            let (from, to) = (number(&row[0]), number(&row[1]));
            let found = match place {
                0 => zeros,
                _ => count(&|w| w > 0.0 && from <= w && w < to),
            };
            assert_eq!(row[2], found.to_string(), "{row:?}");
            let share = found as f64 / weights.len() as f64;
            assert_close(&row[3], share);
            if (1..=bins).contains(&place) {
                assert_close(&row[4], share / (to - from));
            } else {
                assert_eq!(row[4], "");
            }
            sum += found;
        }
        assert_eq!(sum, weights.len());
        assert_eq!((number(&rows[0][1]), number(&rows[1][0])), (0.0, 0.0));
        assert_eq!(number(&rows[bins][1]), max);
        assert_eq!(number(&rows[bins + 1][1]), f64::INFINITY);
    }
}

#[test]
fn files_hold_what_standard_output_does() {
    let desk = Desk::new();
    let result = result(&desk);
    let directory = text(result.path());
    let printed = run(1, &["export", directory, "spikes"]).expect(0).stdout;
    let out = tempfile::tempdir_in(desk.path()).expect("directory");
    let [plain, packed] = ["spikes.csv", "spikes.csv.gz"].map(|name| out.path().join(name));
    fs::write(&plain, "an earlier one").expect("written");
    let refused = run(1, &["export", directory, "spikes", "-o", text(&plain)]).expect(2);
    let why = "exists: name another file, or --force to overwrite it";
    let message = format!("stdp-hpc: -o {}: {why}\n", plain.display());
    assert_eq!(refused.stderr, message);
    for (path, force) in [(&plain, &["--force"][..]), (&packed, &[])] {
        let export = ["export", directory, "spikes", "-o", text(path)];
        let ended = run(1, &[&export, force].concat()).expect(0);
        assert_eq!((&ended.stdout[..], &ended.stderr[..]), ("", ""));
    }
    assert_eq!(fs::read_to_string(&plain).expect("CSV"), printed);
    let mut unpacked = String::new();
    let mut decoder = GzDecoder::new(fs::File::open(&packed).expect("opened"));
    decoder.read_to_string(&mut unpacked).expect("gzip");
    assert_eq!(unpacked, printed);
    let size = |path| fs::metadata(path).expect("a file").len();
    assert!(size(&packed) < size(&plain) / 2);
    assert_eq!(fs::read_dir(out.path()).expect("directory").count(), 2);

    let two = run(2, &["export", directory, "spikes"]).expect(0);
    assert_eq!(two.stdout, printed, "one rank of two prints");
}

/// Exported edges are the synapses of the result, and the index names those onto every neuron.
#[test]
fn edges_have_an_index_of_those_onto_each_neuron() {
    let desk = Desk::new();
    let result = result(&desk);
    let directory = text(result.path());
    for name in ["weights.h5", "spikes.h5"] {
        let own = result.path().join(name);
        let refused = run(
            1,
            &["export", directory, "edges", "--force", "-o", text(&own)],
        )
        .expect(2);
        let why = "is a file of the result itself: name another one\n";
        assert!(refused.stderr.ends_with(why), "{refused:?}");
    }

    let (_, rows) = table(result.path(), "connectivity --at 250 --sources 3..90");
    let file = desk.path().join("edges.h5");
    let export = [
        "export",
        directory,
        "edges",
        "--at",
        "250",
        "--sources",
        "3..90",
        "-o",
        text(&file),
    ];
    run(2, &export).expect(0);
    let edges = File::open(&file).expect("HDF5");
    let edges = edges.group("edges/E_to_E").expect("edges");
    let ids = |name: &str| -> Vec<u64> { edges.dataset(name).expect(name).read_raw().expect(name) };
    let (sources, targets) = (ids("source_node_id"), ids("target_node_id"));
    let weights = edges.dataset("0/syn_weight_at_250ms").expect("weights");
    let weights: Vec<f64> = weights.read_raw().expect("weights");
    assert_eq!(rows.len(), sources.len());
    for (edge, row) in rows.iter().enumerate() {
        let of_edge = [sources[edge] as f64, targets[edge] as f64, weights[edge]];
        assert_eq!([0, 1, 2].map(|column| number(&row[column])), of_edge);
    }
    let [nodes, ranges] = ["node_id_to_ranges", "range_to_edge_id"]
        .map(|name| ids(&format!("indices/target_to_source/{name}")));
    for target in 0..100 {
        let ranges = &ranges[2 * nodes[2 * target] as usize..2 * nodes[2 * target + 1] as usize];
        let named = ranges.chunks(2).flat_map(|range| range[0]..range[1]);
        let onto = (0..)
            .zip(&targets)
            .filter(|(_, onto)| **onto == target as u64);
        assert!(named.eq(onto.map(|(edge, _)| edge)), "{target}");
    }
}

#[test]
fn a_reader_that_is_gone_is_no_failure() {
    let desk = Desk::new();
    let result = result(&desk);
    let mut command = command_alone(program());
    command.args(["export", text(result.path()), "connectivity"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("ended");
    assert_eq!(
        (ended.status.code(), &ended.stderr[..]),
        (Some(0), &b""[..])
    );
}

/// Puts a copy of `from` in the place of `to`: children that other tests start meanwhile inherit
/// the lock of a file that this process has written.
fn copied(from: &Path, to: &Path) {
    fs::copy(from, to).expect("copied");
}

/// Changes a copy of the HDF5 file `path`, and puts it in its place.
fn change(desk: &Desk, path: &Path, change: impl FnOnce(&File)) {
    let draft = desk.path().join("changed.h5");
    copied(path, &draft);
    let file = File::open_rw(&draft).expect("opened");
    change(&file);
    file.close().expect("closed");
    copied(&draft, path);
    fs::remove_file(&draft).expect("removed");
}

/// Longer than what is read at once, 2^20 spikes: none is lost or doubled where blocks meet.
#[test]
fn blocks_join() {
    const SPIKES: i32 = 2_300_000;
    let desk = Desk::new();
    let result = result(&desk);
    let (path, draft) = (
        result.path().join("spikes.h5"),
        desk.path().join("draft.h5"),
    );
    // Step k has a spike of neuron k mod 240, a thousand spikes a step.
    let id = id_of(&result);
    let mut writer = SpikeWriter::create(&draft, Ms(0.125), 240, 0, &id).expect("created");
    let spike = |i: i32| (Steps(801 + i / 1000), Gid((i % 240) as u32));
    for block in 0..SPIKES / 1000 {
        let mut spikes: Vec<_> = (block * 1000..(block + 1) * 1000).map(spike).collect();
        spikes.sort_unstable();
        writer.append(&spikes).expect("written");
    }
    writer.close().expect("closed");
    copied(&draft, &path);
    let (_, times) = read_spikes(&path, "E");
    assert_eq!(times.len(), SPIKES as usize);

    let results = Results::open(result.path()).expect("a result");
    let window = results
        .window(Some(Ms(100.5)), Some(Ms(380.0)))
        .expect("recorded");
    let spikes = results.spikes(Population::E, window).expect("spikes");
    let expected = times.iter().filter(|&&time| time > 100.5 && time <= 380.0);
    assert_eq!(spikes.len(), expected.clone().count());
    assert!(spikes.len() > 2 << 20);
    let found = spikes.map(|spike| spike.expect("good").time.to_ms(Ms(0.125)).0);
    assert!(found.eq(expected.copied()));
}

#[test]
fn a_run_without_end_ends_with_its_last_spike() {
    let desk = Desk::new();
    let result = result(&desk);
    let path = result.path().join("run.json");
    let text = fs::read_to_string(&path).expect("run.json");
    fs::write(
        &path,
        text.replace(r#""status": "done""#, r#""status": "running""#),
    )
    .expect("written");
    // What a flush at 700 ms would have left.
    let (spikes, draft) = (
        result.path().join("spikes.h5"),
        desk.path().join("draft.h5"),
    );
    let mut all: Vec<(Steps, Gid)> = Vec::new();
    for (name, first) in [("E", 0), ("I", 240)] {
        let early = spikes_of(&result, name, 0.0, 700.0).into_iter();
        all.extend(early.map(|(id, ms)| (Steps((ms / 0.125) as i32), Gid(first + id as u32))));
    }
    all.sort_unstable();
    let id = id_of(&result);
    let mut writer = SpikeWriter::create(&draft, Ms(0.125), 240, 0, &id).expect("created");
    writer.append(&all).expect("written");
    writer.close().expect("closed");
    copied(&draft, &spikes);
    fs::remove_file(&draft).expect("removed");
    let e = result.spikes("E").1;
    let last = all.last().expect("spikes").0.to_ms(Ms(0.125)).0;
    assert!(last > 600.0 && e.len() > 50);
    let (_, rows) = table(result.path(), "rates");
    assert_close(
        &rows[0][3],
        e.len() as f64 / 240.0 / (last - 100.0) * 1000.0,
    );
    let directory = result.path();
    let message = format!(
        "to 1100: must be a whole number of steps of 0.125 ms within the time recorded in {}, \
         100 … {last} ms",
        directory.display()
    );
    refuses(directory, "rates --to 1100", &message);

    let writer = SpikeWriter::create(&draft, Ms(0.125), 240, 0, &id).expect("created");
    writer.close().expect("closed");
    copied(&draft, &spikes);
    let message = format!(
        "{}: holds no spike (status of the run: killed)",
        spikes.display()
    );
    refuses(directory, "spikes", &message);
    let lock = DirectoryLock::take(directory, "a run").expect("free");
    let message = format!(
        "{}: holds no spike yet (status of the run: running)",
        spikes.display()
    );
    refuses(directory, "spikes", &message);
    drop(lock);
    // A run of an older build has no id, and locked nothing.
    let text = fs::read_to_string(&path).expect("run.json");
    fs::write(&path, text.replace("\"id\": ", "\"no_id\": ")).expect("written");
    let message = format!(
        "{}: holds no spike (status of the run: running, or killed)",
        spikes.display()
    );
    refuses(directory, "spikes", &message);
}

/// Two runs of one config that differ in the seed alone: nothing but the id tells their files
/// apart.
#[test]
fn files_of_two_runs_are_not_taken_for_one_result() {
    let desk = Desk::new();
    let config = desk.config("small", CONFIG);
    let (one, other) = (
        desk.result(&config, 1, 1, &[]),
        desk.result(&config, 2, 1, &["simulation.seed=2"]),
    );
    assert_ne!(id_of(&one), id_of(&other));
    assert_eq!(id_of(&one).len(), 32);
    let directory = one.path();
    for (name, what) in [("spikes.h5", "rates"), ("weights.h5", "connectivity")] {
        let path = directory.join(name);
        let mine = fs::read(&path).expect("file");
        fs::copy(other.path().join(name), &path).expect("copied");
        let message = format!(
            "{}: is not of the run of {}: two runs have written there, or one file was copied",
            path.display(),
            directory.join("run.json").display()
        );
        refuses(directory, what, &message);
        // What is of the run is still read.
        let others = if what == "rates" {
            "connectivity"
        } else {
            "rates"
        };
        table(directory, others);
        fs::write(&path, mine).expect("written");
        table(directory, what);
    }
    // Results of older builds have no ids.
    let path = directory.join("run.json");
    let text = fs::read_to_string(&path).expect("run.json");
    fs::write(&path, text.replace("\"id\": ", "\"no_id\": ")).expect("written");
    table(directory, "rates");
    fs::write(&path, text).expect("written");
    change(&desk, &directory.join("spikes.h5"), |file| {
        file.delete_attr("id").expect("deleted");
    });
    table(directory, "rates");
}

/// What is there of one population is shown where the other is damaged.
#[test]
fn a_population_that_cannot_be_read_keeps_no_other_back() {
    let desk = Desk::new();
    let result = result(&desk);
    let directory = result.path();
    let whole = table(directory, "rates").1;
    let path = directory.join("spikes.h5");
    change(&desk, &path, |file| {
        file.unlink("spikes/I").expect("unlinked");
    });
    let run_json = directory.join("run.json");
    let done = fs::read_to_string(&run_json).expect("run.json");
    for status in ["done", "running"] {
        fs::write(
            &run_json,
            done.replace("\"done\"", &format!("\"{status}\"")),
        )
        .expect("written");
        for what in ["rates", "rates --per-neuron", "rates --bin 10", "spikes"] {
            let mut all = vec!["export", text(directory)];
            all.extend(what.split(' '));
            let ended = run(1, &all).expect(0);
            let fault = format!(
                "warning: left out: {}: group /spikes/I is missing\n",
                path.display()
            );
            assert_eq!(ended.stderr, fault);
            assert!(ended.stdout.lines().count() > 1, "{ended:?}");
            assert!(!ended.stdout.contains("\nI,"));
        }
        if status == "done" {
            let rates = table(directory, "rates --population E").1;
            assert_eq!(rates[..], whole[..1]);
        }
    }
    refuses(
        directory,
        "rates --population I",
        &format!("{}: group /spikes/I is missing", path.display()),
    );
}

#[track_caller]
fn refuses(directory: &Path, arguments: &str, message: &str) {
    let mut all = vec!["export", text(directory)];
    all.extend(arguments.split_whitespace());
    assert_refused(&run(1, &all), message);
}

#[test]
fn what_was_not_recorded_is_refused() {
    let desk = Desk::new();
    let result = result(&desk);
    let directory = result.path();
    let weights = directory.join("weights.h5");
    let weights = weights.display();
    let within = format!(
        "must be a whole number of steps of 0.125 ms within the time recorded in {}, \
         100 … 1100 ms",
        directory.display()
    );
    let must = "(--help explains all)";
    let cases = [
        ("spikes --from 99.875", format!("from 99.875: {within}")),
        ("rates --to 600.1", format!("to 600.1: {within}")),
        ("rates --to NaN", format!("to NaN: {within}")),
        (
            "spikes --from 300 --to 300",
            "to 300: must be later than from 300 (ms)".to_owned(),
        ),
        (
            "rates --bin 0.2",
            "bin 0.2: must be a whole number of steps of 0.125 ms, at least 1".to_owned(),
        ),
        (
            "matrix --at 100",
            format!("{weights}: no snapshot at 100 ms: must be one of 0, 250, 1100 ms"),
        ),
        (
            "connectivity --sources 0..201",
            "sources 0..201: must lie in 0..200, those whose weights were recorded".to_owned(),
        ),
        (
            "histogram --targets 9..3",
            "targets 9..3: must lie in 0..100, those whose weights were recorded".to_owned(),
        ),
        (
            "histogram --bins 0",
            "bins 0: must be 1 … 16777216".to_owned(),
        ),
        (
            "histogram --max inf",
            "weights from 0 to inf pA: must be finite, ascending bounds".to_owned(),
        ),
        (
            "spikes --population X",
            format!("invalid value 'X' for '--population <E|I>': must be E or I {must}"),
        ),
        (
            "matrix --sources 5",
            format!(
                "invalid value '5' for '--sources <a..b>': must be a..b, such as 0..100 {must}"
            ),
        ),
        (
            "spikes --bins 3",
            format!("unexpected argument '--bins' found {must}"),
        ),
        (
            "potentials",
            format!(
                "export DIR potentials: must be spikes, rates, connectivity, matrix, histogram \
                 or edges {must}"
            ),
        ),
        (
            "",
            format!(
                "export DIR WHAT: must be spikes, rates, connectivity, matrix, histogram or \
                 edges {must}"
            ),
        ),
        (
            "spikes -o spikes.h5",
            "-o spikes.h5: must end in .csv or .csv.gz".to_owned(),
        ),
        ("edges", "export DIR edges: must have -o FILE.h5".to_owned()),
        (
            "edges -o edges.csv",
            "-o edges.csv: must end in .h5".to_owned(),
        ),
        (
            "edges -o edges.h5 --at 100",
            format!("{weights}: no snapshot at 100 ms: must be one of 0, 250, 1100 ms"),
        ),
        (
            "spikes -o /nowhere/spikes.csv",
            "-o /nowhere/spikes.csv: there is no directory /nowhere".to_owned(),
        ),
    ];
    for (arguments, message) in cases {
        refuses(directory, arguments, &message);
    }
}

#[test]
fn files_that_are_missing_foreign_or_cut_are_named() {
    let desk = Desk::new();
    let result = result(&desk);
    let directory = result.path();
    let exports = [("spikes.h5", "rates"), ("weights.h5", "connectivity")];
    for (name, what) in exports {
        let path = directory.join(name);
        let refuses = |why: &str| refuses(directory, what, &format!("{}: {why}", path.display()));
        let good = fs::read(&path).expect("file");

        let half = good.len() / 2;
        fs::write(&path, &good[..half]).expect("written");
        refuses(&format!(
            "cannot be opened as an HDF5 file: truncated file: eof = {half}, \
             sblock->base_addr = 0, stored_eof = {}",
            good.len()
        ));
        fs::write(&path, "E,1,0.5\n").expect("written");
        refuses("cannot be opened as an HDF5 file: file signature not found");
        let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference");
        fs::copy(reference.join("iaf_1250_input.h5"), &path).expect("copied");
        refuses("was not written by stdp-hpc");
        fs::remove_file(&path).expect("removed");
        refuses("cannot be opened: No such file or directory");
    }
    let path = directory.join("run.json");
    fs::write(&path, "{\n  \"status\": \"done\"\n}\n").expect("written");
    let why = "is not of a run of stdp-hpc: missing field `parameters`";
    refuses(directory, "spikes", &format!("{}: {why}", path.display()));
    fs::remove_file(&path).expect("removed");
    let why = "cannot be read: No such file or directory";
    refuses(directory, "spikes", &format!("{}: {why}", path.display()));
}

/// Not what a run writes, but nothing is believed.
#[test]
fn values_that_cannot_be_are_named() {
    let desk = Desk::new();
    let result = result(&desk);
    let directory = result.path();
    let spoilt = |name: &str, what: &str, spoil: &dyn Fn(&File), message: &str| {
        let path = directory.join(name);
        let good = fs::read(&path).expect("file");
        let draft = desk.path().join("draft.h5");
        copied(&path, &draft);
        let file = File::open_rw(&draft).expect("opened");
        spoil(&file);
        file.close().expect("closed");
        copied(&draft, &path);
        refuses(directory, what, &format!("{}: {message}", path.display()));
        fs::write(&path, good).expect("restored");
    };
    let (ids, times) = result.spikes("E");
    let n = ids.len();
    let times_with = |row: usize, time: f64| {
        let mut times = times.clone();
        times[row] = time;
        move |file: &File| put(file, "spikes/E/timestamps", &times)
    };
    let mut strange = ids.clone();
    strange[5] = 240;
    let (sources, weights): (Vec<u64>, Vec<f64>) = result
        .weights()
        .iter()
        .map(|&(source, _, weight)| (source, weight))
        .unzip();
    let (mut falling, mut infinite) = (sources.clone(), weights);
    falling[9] = 180;
    infinite[3] = f64::INFINITY;
    let after = sources[10];
    spoilt(
        "spikes.h5",
        "rates",
        &|file| put(file, "spikes/E/node_ids", &strange),
        "/spikes/E/node_ids[5] = 240: must be 0 … 239 (population E)",
    );
    spoilt(
        "spikes.h5",
        "rates",
        &times_with(n - 2, 1099.1),
        &format!(
            "/spikes/E/timestamps[{}] = 1099.1: must be a whole number of steps of 0.125 ms, at \
             least 1",
            n - 2
        ),
    );
    spoilt(
        "spikes.h5",
        "rates",
        &times_with(7, 1050.0),
        &format!(
            "/spikes/E/timestamps[8] = {}: must not be less than the one before",
            times[8]
        ),
    );
    spoilt(
        "weights.h5",
        "matrix",
        &|file| put(file, "edges/E_to_E/source_node_id", &falling),
        &format!(
            "/edges/E_to_E/source_node_id[10] = {after}: must not be less than the one before"
        ),
    );
    spoilt(
        "weights.h5",
        "connectivity --at 250 -o never.csv",
        &|file| put(file, "edges/E_to_E/0/syn_weight_at_250ms", &infinite),
        "/edges/E_to_E/0/syn_weight_at_250ms[3] = inf: must be finite",
    );
    assert!(!Path::new("never.csv").exists() && !Path::new("never.csv.part").exists());
    spoilt(
        "weights.h5",
        "matrix",
        &|file| file.unlink("edges/E_to_E").expect("unlinked"),
        "holds no snapshot of the weights yet",
    );
}

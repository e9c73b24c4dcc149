//! Good input: what a config leaves out, what `--set` does to it, and the files in configs/.

use std::fs;
use std::path::{Path, PathBuf};

use stdp_hpc::base::units::{Ms, Steps};
use stdp_hpc::io::config;
use stdp_hpc::model::params::{
    Delays, NeuronModel, Params, Stimulus, UnitPsp, VInit, WeightPrecision, WeightSampling,
};

/// The least a config must say.
const LEAST: &str = "[network]\nN = 12500\n[simulation]\nT = 1000\n";

/// `text` as configs/x.toml on four ranks, with these `--set`.
fn load(text: &str, overrides: &[&str]) -> Params {
    let overrides: Vec<String> = overrides.iter().map(|set| (*set).to_owned()).collect();
    config::load(Path::new("configs/x.toml"), text, &overrides, None, 4).unwrap()
}

/// A file of configs/ and its text.
fn shipped(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("configs")
        .join(name);
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

/// All parameters, as they go into run.json.
fn as_json(params: &Params) -> serde_json::Value {
    serde_json::to_value(params).unwrap()
}

fn assert_close(got: f64, expected: f64) {
    assert!((got / expected - 1.0).abs() < 1e-13, "{got} for {expected}");
}

#[test]
fn defaults_are_the_published_example() {
    let p = load(LEAST, &[]);
    assert_eq!(
        (p.network.N, p.network.N_E, p.network.N_I),
        (12500, 10000, 2500)
    );
    assert_eq!(
        (p.network.K, p.network.K_E, p.network.K_I),
        (1250, 1000, 250)
    );
    assert!(!p.network.allow_autapses && p.network.allow_multapses);
    assert_eq!(p.neuron.model, NeuronModel::IgnoreAndFire);
    assert_eq!(p.neuron.V_init, VInit::Uniform(0.0, 20.0));
    assert_eq!(p.neuron.t_ref, Some(Steps(16)));
    assert_eq!((p.neuron.rate, p.neuron.phase), ([0.5, 1.5], [0.01, 1.0]));
    assert_eq!(p.synapse.unit_psp, UnitPsp::Maximum);
    assert_eq!(p.synapse.delay.x, Steps(12));
    assert_eq!(
        (p.stdp.alpha, p.stdp.lambda, p.stdp.mu_plus),
        (0.1, 20.0, 0.4)
    );
    assert_eq!((p.stdp.tau_plus, p.stdp.tau_minus), (15.0, 30.0));
    assert_eq!(p.stdp.weight_precision, WeightPrecision::F64);
    assert_eq!(
        (p.simulation.T, p.simulation.presim),
        (Steps(8000), Steps(0))
    );
    assert_eq!((p.simulation.dt, p.simulation.seed), (Ms(0.125), 1));
    assert_eq!(p.simulation.threads, 1);
    assert!(p.record.spikes);
    assert_eq!((p.record.n_rec, p.record.compression), (12500, 0));
    let weights = p.record.weights.unwrap();
    assert_eq!((weights.targets, weights.sources), (10000, 10000));
    assert!(weights.at.is_empty());
    let sampling = p.record.weights_over_time.unwrap();
    assert_eq!((sampling.every, sampling.one_in), (Steps(800), 256));
    let WeightSampling {
        bins,
        max,
        trajectories,
        ..
    } = sampling;
    assert_eq!((bins, max, trajectories), (150, 150.0, 100));
}

#[test]
fn what_is_sampled_of_the_weights_follows_from_the_size() {
    let sampling = |sets: &[&str]| load(LEAST, sets).record.weights_over_time;
    let of = |sets: &[&str]| {
        let sampling = sampling(sets).unwrap();
        (sampling.one_in, sampling.trajectories)
    };
    assert_eq!(of(&["network.N=1000", "network.K=100"]), (3, 100));
    assert_eq!(of(&["network.N=100", "network.K=50"]), (1, 80));
    assert_eq!(of(&["network.N=1", "network.K=0"]), (1, 0));
    assert_eq!(of(&["network.edges=a.h5"]), (256, 100));
    // 100 ms, or the nearest that is whole steps.
    let set = ["simulation.dt=0.3", "neuron.t_ref=2.1", "simulation.T=999"];
    assert_eq!(sampling(&set).unwrap().every, Steps(333));
    for off in ["record.weights=false", "record.weights_over_time=false"] {
        assert!(sampling(&[off]).is_none(), "{off}");
    }
}

#[test]
fn weights_and_rate_follow_from_the_defaults() {
    let p = load(LEAST, &[]);
    assert_close(p.synapse.J_unit.unwrap(), 0.015734467797231053);
    assert_close(p.synapse.I_E, 31.77736968567757);
    assert_close(p.synapse.I_I, -317.7736968567757);
    assert_eq!(p.synapse.I_X, p.synapse.I_E);
    let Stimulus::Poisson {
        rate,
        mean_per_step,
        eta,
        ..
    } = p.stimulus
    else {
        panic!("the default is Poisson input");
    };
    assert_eq!(eta, Some(1.2));
    assert_close(rate, 1736.5161661124605);
    assert_close(mean_per_step, 1736.5161661124605 * 0.125e-3);
}

/// default.toml spells the defaults out: taking its own choices back leaves nothing.
#[test]
fn default_toml_is_the_reference_of_all_defaults() {
    let (path, text) = shipped("default.toml");
    let sets = [
        "simulation.T=1000".to_owned(),
        "record.weights=true".to_owned(),
    ];
    let spelt_out = config::load(&path, &text, &sets, None, 1).unwrap();
    assert_eq!(as_json(&spelt_out), as_json(&load(LEAST, &[])));
}

#[test]
fn shipped_configs_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("study_"))
        .collect();
    names.sort();
    let expected = ["brunel", "default", "hpc_benchmark", "scale", "small"];
    assert_eq!(names, expected.map(|name| format!("{name}.toml")));
    for name in names {
        let (path, text) = shipped(&name);
        config::load(&path, &text, &[], None, 3).unwrap();
    }
}

#[test]
fn hpc_benchmark_is_that_of_nest() {
    let (path, text) = shipped("hpc_benchmark.toml");
    let p = config::load(&path, &text, &[], None, 1).unwrap();
    assert_eq!((p.network.N_E, p.network.N_I), (9000, 2250));
    assert_eq!((p.network.K_E, p.network.K_I), (9000, 2250));
    assert_eq!(p.neuron.V_init, VInit::Normal(5.7, 7.2));
    assert_close(p.synapse.I_E, 0.14 / 0.003069529200614965);
    assert!((p.synapse.I_E - 45.61).abs() < 5e-3);
    assert_eq!(
        (p.simulation.T, p.simulation.presim),
        (Steps(2500), Steps(500))
    );
}

#[test]
fn scale_grows_with_the_ranks() {
    let (path, text) = shipped("scale.toml");
    let p = config::load(&path, &text, &[], None, 8).unwrap();
    assert_eq!((p.network.N, p.network.N_per_rank), (100_000, Some(12500)));
}

#[test]
fn set_overrides_and_adds() {
    let sets = [
        "simulation.dt=0.5",
        "neuron.model=iaf_psc_alpha",
        "neuron.ignore_and_fire.rate=[9.5, 10]",
        "record.weights.targets=100",
        "simulation.seed=1",
        "simulation.seed=7",
    ];
    let p = load(LEAST, &sets);
    assert_eq!(p.simulation.T, Steps(2000));
    assert_eq!(p.neuron.model, NeuronModel::IafPscAlpha);
    assert_eq!(p.neuron.rate, [9.5, 10.0]);
    assert_eq!(p.record.weights.unwrap().targets, 100);
    assert_eq!(p.simulation.seed, 7);
}

#[test]
fn set_takes_the_place_of_what_it_replaces() {
    let (_, text) = shipped("default.toml");
    let sets = [
        "network.N_per_rank=500",
        "network.edges=net.h5",
        "neuron.V_init.normal=[5.7, 7.2]",
        "synapse.weight=45.61",
        "stimulus.rate=1000",
    ];
    let p = load(&text, &sets);
    assert_eq!(p.network.N, 2000);
    assert_eq!((p.network.K, p.network.K_E, p.network.K_I), (0, 0, 0));
    assert_eq!(p.neuron.V_init, VInit::Normal(5.7, 7.2));
    assert_eq!(
        (p.synapse.I_E, p.synapse.J_E, p.synapse.J_unit),
        (45.61, None, None)
    );
    assert!(matches!(
        p.stimulus,
        Stimulus::Poisson {
            eta: None,
            rate: 1000.0,
            ..
        }
    ));
}

#[test]
fn threads_of_the_command_line_win() {
    let config = format!("{LEAST}threads = 2\n");
    let path = Path::new("x.toml");
    let threads = |given| {
        config::load(path, &config, &[], given, 1)
            .unwrap()
            .simulation
            .threads
    };
    assert_eq!((threads(None), threads(Some(3))), (2, 3));
}

#[test]
fn files_lie_beside_the_config() {
    let config = "[network]\nN = 10\nedges = \"a/net.h5\"\n[neuron]\ninitial = \"/abs.h5\"\n\
                  [stimulus]\nspikes = \"../in.h5\"\n[simulation]\nT = 1\n";
    let p = load(config, &[]);
    assert_eq!(p.network.edges, Some(PathBuf::from("configs/a/net.h5")));
    assert_eq!(p.neuron.initial, Some(PathBuf::from("/abs.h5")));
    let Stimulus::Spikes(spikes) = p.stimulus else {
        panic!("spikes were given");
    };
    assert_eq!(spikes, PathBuf::from("configs/../in.h5"));
}

#[test]
fn delays_may_differ_by_projection() {
    let p = load(LEAST, &["synapse.delay={ E_to_E = 2, X_to_all = 0.125 }"]);
    let (x, other) = (Steps(1), Some(Steps(12)));
    let expected = Delays {
        ee: Some(Steps(16)),
        ei: other,
        ie: other,
        ii: other,
        x,
    };
    assert_eq!(p.synapse.delay, expected);
}

/// No default may refuse a config that does without it.
#[test]
fn what_is_not_used_need_not_lie_on_the_grid() {
    let sets = ["simulation.dt=1", "synapse.delay={ X_to_all = 3 }"];
    let read = load(LEAST, &[&sets[..], &["network.edges=net.h5"]].concat());
    let none = Delays {
        ee: None,
        ei: None,
        ie: None,
        ii: None,
        x: Steps(3),
    };
    assert_eq!(read.synapse.delay, none);
    assert_eq!(
        load(LEAST, &[&sets[..], &["network.K=0"]].concat())
            .synapse
            .delay,
        none
    );
    // Without I there is E→E alone.
    let sets = [
        "simulation.dt=1",
        "network.beta=1",
        "synapse.delay={ E_to_E = 2, X_to_all = 3 }",
    ];
    let ee = Some(Steps(2));
    let p = load(LEAST, &sets);
    assert_eq!(p.synapse.delay, Delays { ee, ..none });
    assert_eq!(
        (p.synapse.delay.min(), p.synapse.delay.max()),
        (Steps(2), Steps(2))
    );
    assert_eq!((none.min(), none.plastic()), (Steps(3), Steps(3)));

    // Neurons that are never refractory; rates that are read.
    let p = load(
        LEAST,
        &["simulation.dt=0.3", "synapse.delay=0.3", "simulation.T=999"],
    );
    assert_eq!(p.neuron.t_ref, None);
    let coarse = [
        "simulation.dt=1000",
        "synapse.delay=1000",
        "simulation.T=1e4",
    ];
    load(LEAST, &[&coarse[..], &["neuron.initial=rates.h5"]].concat());
    let iaf = ["neuron.model=iaf_psc_alpha", "neuron.t_ref=0"];
    load(LEAST, &[&coarse[..], &iaf].concat());
    // A time step so small that the default between two samples is longer than a run can be.
    let fine = [
        "simulation.dt=1e-8",
        "synapse.delay=1e-8",
        "simulation.T=1e-6",
    ];
    load(LEAST, &[&fine[..], &iaf].concat());
}

#[test]
fn snapshots_are_ascending_and_single() {
    let p = load(
        LEAST,
        &[
            "record.weights.at=[1000, 0.0, 500.0, 0]",
            "simulation.presim=10",
        ],
    );
    let at = p.record.weights.unwrap().at;
    assert_eq!(at, [Steps(0), Steps(4000), Steps(8000)]);
}

#[test]
fn weights_may_be_left_out() {
    assert!(
        load(LEAST, &["record.weights=false"])
            .record
            .weights
            .is_none()
    );
}

#[test]
fn extremes_are_admitted() {
    let all_excitatory = load(
        "[network]\nN = 1\nK = 0\nbeta = 1\n[simulation]\nT = 0.125\n",
        &[],
    );
    assert_eq!(
        (all_excitatory.network.N_E, all_excitatory.network.N_I),
        (1, 0)
    );
    let largest = "[network]\nN = 4294967295\n[simulation]\nT = 268304383.875\n";
    assert_eq!(load(largest, &[]).simulation.T, Steps(i32::MAX - (1 << 20)));
    let silent = load(LEAST, &["synapse.weight=0", "stimulus.rate=0"]);
    assert_eq!((silent.synapse.I_E, silent.synapse.I_I), (0.0, -0.0));
    let full = load(
        "[network]\nN = 10\nK = 10\nallow_autapses = true\nallow_multapses = false\n\
                     [simulation]\nT = 1\n",
        &[],
    );
    assert_eq!((full.network.K_E, full.network.K_I), (8, 2));
}

#[test]
fn nest_example_reproduces_its_weight() {
    let p = load(LEAST, &["synapse.unit_psp=nest-example"]);
    assert_eq!(p.synapse.unit_psp, UnitPsp::NestExample);
    assert_close(p.synapse.I_E, 31.900802738886634);
}

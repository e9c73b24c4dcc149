//! All keys of a config: name, allowed values, default, unit and meaning.
//!
//! [`KEYS`] is the single source for the reader's checks, `--help`, docs/keys.md,
//! configs/default.toml and the units in run.json. The defaults are those of the published example,
//! NEST's scalable two-population STDP network model.

use super::reading::Bound::{self, Finite, Fraction, NotNegative, Positive};

/// Maximum delay and refractory time (steps).
pub(super) const MAX_DELAY: i32 = 1 << 20;

/// Maximum length of a run, warm-up included (steps). A stamp plus a delay then fits an `i32`.
pub(super) const MAX_STEPS: i32 = i32::MAX - MAX_DELAY;

/// Maximum number of tics per step. The longest period then has 2⁵⁰ tics, exact in a double.
const MAX_TICS: i64 = 1 << 20;

/// Maximum number of synapses whose individual weights are recorded over time.
pub(super) const MAX_TRAJECTORIES: u32 = 10_000;

/// Type and range of a key's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A number.
    Number(Bound),
    /// Two finite numbers with these names.
    Pair(&'static str),
    /// An integer from the first to the second number, inclusive.
    Integer(i64, i64),
    /// A time (ms) that is a whole number of steps, from the first to the second, inclusive.
    Time(i32, i32),
    /// An array of times (ms) within the run, each a whole number of steps.
    Times,
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `"all"`, or an integer from 0 to the number of neurons with this name (`N`, `N_E`).
    Count(&'static str),
    /// Path of a file.
    File,
    /// A table of known keys.
    Table,
    /// `true`, `false` or a table of known keys.
    Switched,
    /// A table in which any name is allowed; only study files have some.
    AnyTable,
}

/// Description of a key or of a table of keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Dotted path, such as `neuron.tau_m`.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
    /// Default as TOML; empty if there is none.
    pub(crate) default: &'static str,
    /// Unit of the value; empty if it has none.
    pub(crate) unit: &'static str,
    /// Meaning, in one sentence without a full stop.
    pub(crate) help: &'static str,
    /// Allowed values in words; empty if `kind` or `help` states them.
    pub(super) allowed: &'static str,
    /// Value in configs/default.toml; empty if it is the default.
    pub(super) example: &'static str,
    /// `true` if the key says in another way what other keys say.
    pub(super) alternative: bool,
    /// Alternative keys. Setting this key with `--set` removes them from the file.
    pub(super) replaces: &'static [&'static str],
    /// JSON pointer of the value in run.json; empty if it follows from `path`.
    pub(super) stored: &'static str,
    /// `true` if the documents list this key; `false` if the entry of another key describes it.
    pub(super) listed: bool,
}

impl Key {
    pub(crate) const fn new(path: &'static str, kind: Kind, default: &'static str) -> Self {
        Key {
            path,
            kind,
            default,
            unit: "",
            help: "",
            allowed: "",
            example: "",
            alternative: false,
            replaces: &[],
            stored: "",
            listed: true,
        }
    }

    const fn unit(self, unit: &'static str) -> Self {
        Key { unit, ..self }
    }

    const fn means(self, help: &'static str) -> Self {
        Key { help, ..self }
    }

    const fn allowed(self, allowed: &'static str) -> Self {
        Key { allowed, ..self }
    }

    const fn example(self, example: &'static str) -> Self {
        Key { example, ..self }
    }

    /// Marks a key instead of which others may be given; documents show it with `example`.
    const fn alternative(self, example: &'static str) -> Self {
        Key {
            alternative: true,
            ..self.example(example)
        }
    }

    const fn replaces(self, replaces: &'static [&'static str]) -> Self {
        Key { replaces, ..self }
    }

    const fn stored(self, stored: &'static str) -> Self {
        Key { stored, ..self }
    }

    const fn unlisted(self) -> Self {
        Key {
            listed: false,
            ..self
        }
    }

    /// Returns the path of the key's table and the key's name in it.
    pub(crate) fn split(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }

    /// Returns whether documents show the entry as the heading of a table.
    pub(super) fn is_heading(&self) -> bool {
        self.kind == Kind::Table && self.default.is_empty()
    }

    /// Returns the JSON pointer of the value in run.json.
    pub(super) fn pointer(&self) -> String {
        match self.stored {
            "" => format!("/{}", self.path.replace('.', "/")),
            stored => stored.to_owned(),
        }
    }
}

/// Keys and tables in the order of the documents; every table precedes its keys.
pub(crate) type Keys = &'static [Key];

use Kind::{Choice, Count, File, Integer, Number, Pair, Switch, Switched, Table, Time, Times};

const fn key(path: &'static str, kind: Kind, default: &'static str) -> Key {
    Key::new(path, kind, default)
}

const MAX_NEURONS: i64 = u32::MAX as i64;

/// Keys of a config.
pub(crate) const KEYS: Keys = &[
    key("network", Table, "").means("populations E and I and their connections"),
    key("network.N", Integer(1, MAX_NEURONS), "")
        .example("12500")
        .replaces(&["network.N_per_rank"])
        .means("neurons in total; E comes first"),
    key("network.N_per_rank", Integer(1, MAX_NEURONS), "")
        .alternative("12500")
        .replaces(&["network.N"])
        .means("instead of N: neurons per MPI rank, for weak scaling"),
    key("network.K", Integer(0, MAX_NEURONS), "1250")
        .means("in-degree of every neuron: the fraction beta from E, the rest from I"),
    key("network.beta", Number(Fraction), "0.8")
        .means("excitatory fraction: N_E = floor(beta*N), K_E = floor(beta*K)"),
    key("network.allow_autapses", Switch, "false")
        .means("whether a neuron may be its own source"),
    key("network.allow_multapses", Switch, "true")
        .means("whether a neuron may have a source more than once"),
    key("network.edges", File, "")
        .alternative("\"network.h5\"")
        .replaces(&[
            "network.K",
            "network.allow_autapses",
            "network.allow_multapses",
            "synapse.delay.E_to_E",
            "synapse.delay.E_to_I",
            "synapse.delay.I_to_E",
            "synapse.delay.I_to_I",
        ])
        .means(
            "instead of K and allow_*: SONATA file with edges E_to_E, E_to_I, I_to_E, I_to_I, each \
             with syn_weight (pA) and delay (ms)",
        ),
    key("neuron", Table, "").means("neuron model and its constants"),
    key(
        "neuron.model",
        Choice(&["iaf_psc_alpha", "ignore_and_fire"]),
        "\"ignore_and_fire\"",
    )
    .means("neuron model of all neurons"),
    key("neuron.E_L", Number(Finite), "0.0")
        .unit("mV")
        .means("resting potential"),
    key("neuron.C_m", Number(Positive), "250.0")
        .unit("pF")
        .means("membrane capacitance"),
    key("neuron.tau_m", Number(Positive), "20.0")
        .unit("ms")
        .means("membrane time constant"),
    key("neuron.t_ref", Time(0, MAX_DELAY), "2.0")
        .unit("ms")
        .means("refractory time"),
    key("neuron.V_th", Number(Finite), "20.0")
        .unit("mV")
        .allowed("> V_reset")
        .means("threshold"),
    key("neuron.V_reset", Number(Finite), "0.0")
        .unit("mV")
        .allowed("< V_th")
        .means("potential after a spike"),
    key("neuron.tau_syn_ex", Number(Positive), "2.0")
        .unit("ms")
        .means("time constant of the excitatory alpha current"),
    key("neuron.tau_syn_in", Number(Positive), "2.0")
        .unit("ms")
        .means("time constant of the inhibitory alpha current"),
    key("neuron.I_e", Number(Finite), "0.0")
        .unit("pA")
        .means("constant current"),
    key("neuron.V_init", Table, "{ uniform = [0.0, 20.0] }")
        .unit("mV")
        .allowed("low ≤ high, SD ≥ 0")
        .means("initial potential: [low, high]; or { normal = [5.7, 7.2] }, [mean, SD]"),
    key("neuron.V_init.uniform", Pair("low, high"), "")
        .unit("mV")
        .replaces(&["neuron.V_init.normal"])
        .unlisted(),
    key("neuron.V_init.normal", Pair("mean, SD"), "")
        .unit("mV")
        .replaces(&["neuron.V_init.uniform"])
        .unlisted(),
    key("neuron.initial", File, "")
        .alternative("\"initial.h5\"")
        .means(
            "instead of drawn values: HDF5 file with one value per gid, /initial/V_m (mV), or \
             /initial/rate (spikes/s) and /initial/phase",
        ),
    key("neuron.ignore_and_fire", Table, "").means("values drawn for this model only"),
    key("neuron.ignore_and_fire.rate", Pair("low, high"), "[0.5, 1.5]")
        .unit("spikes/s")
        .stored("/neuron/rate")
        .allowed("0 < low ≤ high ≤ 1000/dt")
        .means("range of rates"),
    key("neuron.ignore_and_fire.phase", Pair("low, high"), "[0.01, 1.0]")
        .unit("of a period")
        .stored("/neuron/phase")
        .allowed("0 < low ≤ high ≤ 1")
        .means("range of initial phases"),
    key("synapse", Table, "").means("weights and delays"),
    key("synapse.J_E", Number(NotNegative), "0.5")
        .unit("mV")
        .replaces(&["synapse.weight"])
        .means("maximum of the potential after an excitatory event"),
    key("synapse.weight", Number(NotNegative), "")
        .unit("pA")
        .alternative("31.7773725")
        .stored("/synapse/I_E")
        .replaces(&["synapse.J_E"])
        .means("instead of J_E: maximum of the current after an excitatory event"),
    key(
        "synapse.unit_psp",
        Choice(&["maximum", "nest-example"]),
        "\"maximum\"",
    )
    .means(
        "how J_E becomes a current: by the maximum of the potential, or with the slip of NEST's \
         example, 0.4 % less",
    ),
    key("synapse.g", Number(Finite), "10.0")
        .means("the weight of inhibitory events is -g times the excitatory one"),
    key("synapse.delay", Time(1, MAX_DELAY), "1.5")
        .unit("ms")
        .means(
            "delay of all projections; or a table with E_to_E, E_to_I, I_to_E, I_to_I and X_to_all, \
             with network.edges only the last",
        ),
    key("synapse.delay.E_to_E", Time(1, MAX_DELAY), "1.5").unit("ms").unlisted(),
    key("synapse.delay.E_to_I", Time(1, MAX_DELAY), "1.5").unit("ms").unlisted(),
    key("synapse.delay.I_to_E", Time(1, MAX_DELAY), "1.5").unit("ms").unlisted(),
    key("synapse.delay.I_to_I", Time(1, MAX_DELAY), "1.5").unit("ms").unlisted(),
    key("synapse.delay.X_to_all", Time(1, MAX_DELAY), "1.5").unit("ms").unlisted(),
    key("stdp", Table, "")
        .means("plasticity of E→E synapses; weights w are relative to 1 pA and start at the current of J_E"),
    key("stdp.alpha", Number(NotNegative), "0.1").means("depression relative to potentiation"),
    key("stdp.lambda", Number(NotNegative), "20.0").means("learning rate"),
    key("stdp.mu_plus", Number(Fraction), "0.4")
        .means("exponent of w in potentiation; depression is proportional to w"),
    key("stdp.tau_plus", Number(Positive), "15.0")
        .unit("ms")
        .means("time constant of the presynaptic trace"),
    key("stdp.tau_minus", Number(Positive), "30.0")
        .unit("ms")
        .means("time constant of the postsynaptic trace"),
    key("stdp.weight_precision", Choice(&["f64", "f32"]), "\"f64\"")
        .means("type of a stored weight; f32 takes half the memory"),
    key("stimulus", Table, "").means("external input X: a Poisson source per neuron, or a file"),
    key("stimulus.eta", Number(NotNegative), "1.2")
        .replaces(&["stimulus.rate", "stimulus.spikes"])
        .means("Poisson rate relative to the rate that just reaches threshold"),
    key("stimulus.rate", Number(NotNegative), "")
        .unit("spikes/s")
        .alternative("1736.5")
        .stored("/stimulus/poisson/rate")
        .replaces(&["stimulus.eta", "stimulus.spikes"])
        .means("instead of eta: Poisson rate per neuron"),
    key("stimulus.spikes", File, "")
        .alternative("\"input.h5\"")
        .replaces(&["stimulus.eta", "stimulus.rate"])
        .means("instead of eta: SONATA spikes of population X; node i drives gid i"),
    key("simulation", Table, "").means("time, grid, seed and threads"),
    key("simulation.T", Time(1, MAX_STEPS), "")
        .unit("ms")
        .example("10000.0")
        .means("recorded model time"),
    key("simulation.presim", Time(0, MAX_STEPS - 1), "0.0")
        .unit("ms")
        .means("warm-up before T, neither recorded nor timed"),
    key("simulation.dt", Number(Positive), "0.125")
        .unit("ms")
        .means("time grid"),
    key("simulation.tics_per_step", Integer(1, MAX_TICS), "128").means(
        "parts of a step to which periods and phases of ignore_and_fire are rounded; NEST's own are \
         1000 per ms, 100 per step at dt = 0.1",
    ),
    key("simulation.seed", Integer(0, i64::MAX), "1").means("seed of every random number"),
    key("simulation.threads", Integer(1, 1024), "1")
        .means("threads per rank; --threads takes precedence"),
    key("record", Table, "").means("contents of the result directory"),
    key("record.spikes", Switch, "true").means("whether to write spikes.h5"),
    key("record.n_rec", Count("N"), "\"all\"")
        .means("spikes of all neurons, or of those with the first gids"),
    key("record.compression", Integer(0, 9), "0").means(
        "deflate level of the files, 0 for none; libsonata's wheel reads only uncompressed files",
    ),
    key("record.weights", Switched, "true")
        .means("whether to write weights.h5 at the end; or a table of the keys below"),
    key("record.weights.at", Times, "[]")
        .unit("ms")
        .example("[0.0]")
        .means("times of further snapshots, warm-up included"),
    key("record.weights.targets", Count("N_E"), "\"all\"")
        .example("500")
        .means("synapses onto all of E, or onto the first gids"),
    key("record.weights.sources", Count("N_E"), "\"all\"")
        .means("synapses from all of E, or from the first gids"),
    key("record.weights.target_to_source", Switch, "false").means(
        "whether to write SONATA's index by target too, which takes half as long as the rest; \
         `stdp-hpc export DIR edges` adds it later",
    ),
    key("record.weights_over_time", Switched, "true")
        .means("whether weights.h5 also has weights as the run goes; or a table of the keys below"),
    key("record.weights_over_time.every", Time(1, MAX_STEPS), "100.0")
        .unit("ms")
        .means("time between two samples"),
    key("record.weights_over_time.bins", Integer(1, 10_000), "150")
        .means("bins of a histogram, of equal width from 0 on"),
    key("record.weights_over_time.max", Number(Positive), "150.0")
        .unit("pA")
        .means("upper end of the last bin"),
    key("record.weights_over_time.one_in", Integer(1, MAX_NEURONS), "")
        .example("256")
        .means(
            "histograms count one synapse in so many, at most N_E; by default about 16,000 \
             synapses, or one in 256 if that is more",
        ),
    key(
        "record.weights_over_time.trajectories",
        Integer(0, MAX_TRAJECTORIES as i64),
        "100",
    )
    .means("synapses whose weights are written one by one, at most N_E"),
    key("interconnect", Table, "").means(
        "network between ranks, for estimates only: a run ignores it. Defaults are of the order of a \
         fat tree of HDR InfiniBand; `mpirun -n R stdp-hpc comm-bench` measures yours",
    ),
    key("interconnect.latency", Number(NotNegative), "2.0")
        .unit("µs")
        .means("time of a message of any length"),
    key("interconnect.bandwidth", Number(Positive), "25.0")
        .unit("GB/s")
        .means(
            "of a rank while all ranks send, each way; where ranks share a port, its bandwidth divided \
             by their number",
        ),
    key(
        "interconnect.algorithm",
        Choice(&["best", "bruck", "pairwise"]),
        "\"best\"",
    )
    .means("algorithm of MPI_Alltoall; best is the faster of the two"),
];

/// Returns the key or table at `path`; `None` if there is none.
pub(crate) fn find(keys: Keys, path: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.path == path)
}

/// Returns the names in the table at `path`, in order; "" is the root table.
pub(crate) fn names_in(keys: Keys, path: &str) -> impl Iterator<Item = &'static str> {
    keys.iter().filter_map(move |key| {
        let (table, name) = key.split();
        (table == path).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_precede_their_keys_and_names_are_unique() {
        for (nth, key) in KEYS.iter().enumerate() {
            let (table, _) = key.split();
            let before = |path: &str| KEYS[..nth].iter().any(|key| key.path == path);
            assert!(table.is_empty() || before(table), "{}", key.path);
            assert!(!before(key.path), "{}", key.path);
            assert!(key.listed != key.help.is_empty(), "{}", key.path);
            for replaced in key.replaces {
                assert!(find(KEYS, replaced).is_some(), "{replaced}");
            }
        }
    }
}
